"""The data settles what a recipe leaves open: the tokenizer is fitted on the way, as some choices need its counts."""

from collections.abc import Sequence

from attnkit.data.examples import Example
from attnkit.data.tokens import TextTokenizer, fit, kind_for
from attnkit.errors import UsageError
from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.train.applies import check_optimization
from attnkit.train.choices import Choices
from attnkit.train.choose_batches import choose_batch_rows, choose_batches, choose_mixed_rows
from attnkit.train.choose_language import choose_language
from attnkit.train.choose_model import choose_model
from attnkit.train.choose_tokens import choose_lengths, choose_tokens
from attnkit.train.choose_training import choose_training
from attnkit.train.choose_wide import choose_wide_branch
from attnkit.train.fit_batch import choose_fitting_rows
from attnkit.train.start import changed_tokenizer, settle_start
from attnkit.train.wide import choose_wide


def settle(recipe: Recipe, train: Sequence[Example], allow_code: bool = False) -> tuple[Choices, TextTokenizer]:
    """The complete recipe with a reason for each choice, and the tokenizer, from the training rows alone.

    Raises: UsageError where the recipe asks for what these rows cannot give.
    """
    check_optimization(recipe)
    texts = [text for row in train for text in (row.text, row.pair) if text]
    choices = Choices(recipe)
    choose_mixed_rows(choices)
    start = settle_start(choices, len(train), allow_code)
    tokenizer = _fitted(choices, texts, len(train)) if start is None else start.tokenizer
    tokenizer = changed_tokenizer(choices.recipe.model, start, tokenizer)
    paired = train[0].pair is not None
    items = tokenizer.encode_all([row.text for row in train])
    if paired:
        items = tokenizer.encode_pair([r.text for r in train], [r.pair or "" for r in train])
    counts = [len(ids) for ids in items]
    choose_language(choices, tokenizer)
    choose_lengths(choices, counts, paired, start.longest_tokens if start is not None else None)
    median = sorted(counts)[len(counts) // 2]
    classes = len({row.label for row in train if isinstance(row.label, str)})
    choose_wide_branch(choices, len(train), median, classes, paired)
    choose_model(choices, len(train), median)
    choose_wide(choices, items, tokenizer.size)
    choose_fitting_rows(choices, counts, tokenizer.size, max(1, classes), allow_code)
    choose_batch_rows(choices, len(train), median)
    choose_batches(choices, median, allow_code)
    choose_training(choices, len(train), classes, median)
    if choices.recipe.model.hierarchical is True and paired:
        raise UsageError("hierarchical models read one text, not pairs; set model.hierarchical = false")
    return choices, tokenizer


def _fitted(choices: Choices, texts: Sequence[str], rows: int) -> TextTokenizer:
    recipe = choices.recipe
    kind = kind_for(texts) if recipe.tokens.tokenizer == "auto" else recipe.tokens.tokenizer
    choices.settle(
        "tokens.tokenizer", kind, "most letters are of a script without spaces" if kind == "chars" else "words"
    )
    choose_tokens(choices, rows)
    tokens = choices.recipe.tokens
    return fit(
        kind,
        texts,
        vocabulary_size=chosen(tokens.vocabulary_size),
        lowercase=chosen(tokens.lowercase),
        min_count=chosen(tokens.min_count),
    )
