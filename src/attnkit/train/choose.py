"""What the data decides where a recipe says "auto": each choice with the sentence that is recorded beside it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attnkit.model.operator import operator
from attnkit.model.settings import Section, chosen
from attnkit.run.recipe import Recipe

LONG_DOCUMENT_TOKENS = 400
LONGEST_TOKENS = 512
SHORT_TEXT_TOKENS = 100
WANTED_STEPS = 1500
STEPS_A_CLASS = 20
FEW_DOCUMENTS = 10_000
MANY_TOKENS = 300_000


@dataclass
class Choices:
    """Settles "auto" fields one by one, remembering why."""

    recipe: Recipe
    reasons: dict[str, str] = field(default_factory=dict)

    def settle(self, name: str, value: Any, reason: str) -> None:
        """Give the field `name` ("section.field") its value where it still says "auto"."""
        section, entry = name.split(".")
        holder: Section = getattr(self.recipe, section)
        if getattr(holder, entry) == "auto":
            changed = holder.model_copy(update={entry: value})
            self.recipe = self.recipe.model_copy(update={section: changed})
            self.reasons[name] = reason


def choose_tokens(choices: Choices, rows: int) -> None:
    """Settle how training texts become tokens, except the limits on length."""
    choices.settle("tokens.vocabulary_size", 30_000, "the usual size; rarer words carry little")
    choices.settle("tokens.lowercase", True, "small sets see too few capitals to learn both forms")
    if rows < 50_000:
        choices.settle("tokens.min_count", 2, f"a word seen once in {rows} texts cannot be learned")
    else:
        choices.settle("tokens.min_count", 5, f"words seen less than five times in {rows} texts are noise")


def choose_lengths(choices: Choices, counts: Sequence[int], paired: bool) -> None:
    """Settle hierarchy and limits from the token counts of the training texts."""
    ordered = sorted(counts)
    median = int(statistics.median(ordered)) if ordered else 0
    most = ordered[-1] if ordered else 1
    nearly_all = ordered[int(0.98 * (len(ordered) - 1))] if ordered else 1
    long = median > LONG_DOCUMENT_TOKENS and not paired
    choices.settle(
        "model.hierarchical",
        long,
        f"the median text has {median} tokens, {'more' if long else 'not more'} than {LONG_DOCUMENT_TOKENS}",
    )
    if choices.recipe.model.hierarchical is True:
        choices.settle("tokens.max_tokens", 100_000, "the limits on sentences decide")
    elif most <= LONGEST_TOKENS:
        choices.settle("tokens.max_tokens", max(1, most), "the longest training text; none is cut")
    else:
        limit = max(8, min(nearly_all, LONGEST_TOKENS))
        cut = sum(count > limit for count in counts)
        choices.settle("tokens.max_tokens", limit, f"{cut} of {len(counts)} training texts are longer and are cut")
    choices.settle("tokens.max_sentences", 100, "about the longest review; only hierarchical models read it")


def choose_model(choices: Choices, rows: int, median_tokens: int) -> None:
    """Settle the network from how many rows there are and how long they are."""
    hierarchical = choices.recipe.model.hierarchical is True
    short = median_tokens <= SHORT_TEXT_TOKENS and not hierarchical
    length = f"the median text has {median_tokens} tokens"
    if hierarchical and rows < FEW_DOCUMENTS:
        choices.settle("model.encoder", "none", f"{rows} documents are too few to learn how words change each other")
    elif short:
        choices.settle("model.encoder", "cnn", f"{length}: phrases of a few words decide, and a cnn is quick")
    else:
        choices.settle("model.encoder", "bilstm", f"{length}: what a word means depends on words far from it")
    if choices.recipe.model.encoder == "cnn":
        wide = 300 if rows * median_tokens < MANY_TOKENS else 150
        reason = f"{rows} texts of {median_tokens} tokens: " + (
            "wide filters are affordable" if wide == 300 else "quick"
        )
        choices.settle("model.embedding_width", wide, reason)
        choices.settle("model.width", wide, reason)
    else:
        choices.settle("model.embedding_width", 128, "the usual width of small networks")
        choices.settle("model.width", 128 if hierarchical else 256, "two directions of half of it each")
    if hierarchical:
        choices.settle("model.beside", ("mean",), "what all words say together, beside what attention weighs")
    else:
        choices.settle("model.beside", ("max",), "what is strongest anywhere, beside what attention weighs")
    choices.settle("model.words_beside", short, "single words decide much in short texts" if short else length)
    choices.settle("model.ngrams", 0, "words alone")
    choices.settle("model.word_dropout", 0.1, "unknown words are met while training too")
    embedding_dropout = 0.2 if short else 0.5
    choices.settle("model.embedding_dropout", embedding_dropout, "embeddings hold most weights and overfit first")
    choices.settle("model.dropout", 0.5, f"{rows} training texts are soon learned by heart")
    if hierarchical:
        choices.settle("train.batch_rows", 16, "a document is a batch of sentences")
    else:
        choices.settle("train.batch_rows", 32 if rows < 20_000 else 64, f"{rows} training texts")


def choose_batches(choices: Choices, median_tokens: int, allow_code: bool = False) -> None:
    """Settle how the texts of a step stand together, from what reads them and how long they are."""
    recipe = choices.recipe
    if recipe.train.batches != "auto":
        return
    median = min(median_tokens, chosen(recipe.tokens.max_tokens))
    if recipe.model.hierarchical is True:
        value, reason = "sorted", "a hierarchical model reads tables of sentences, which cannot stand end to end"
    elif recipe.model.encoder != "transformer":
        value, reason = "sorted", f"the encoder {recipe.model.encoder} reads texts side by side"
    elif operator(recipe.model.attention, allow_code).needs_state:
        value, reason = "sorted", "its attention reads the map of the layer below, which a packed batch does not keep"
    elif median <= SHORT_TEXT_TOKENS:
        value, reason = "sorted", f"the median text has {median} tokens: many short texts go faster side by side"
    else:
        value, reason = "packed", f"the median text has {median} tokens: nothing is padded, and any texts may meet"
    choices.settle("train.batches", value, reason)


def choose_training(choices: Choices, rows: int, classes: int = 2) -> None:
    """Settle the optimization from how many steps an epoch has and how many classes there are to tell apart."""
    batch = choices.recipe.train.batch_rows
    steps = -(-rows // int(batch)) if batch != "auto" else 1
    epochs = max(
        5,
        min(
            10 if choices.recipe.model.hierarchical is True else 20,
            round((WANTED_STEPS + STEPS_A_CLASS * classes) / steps),
        ),
    )
    choices.settle("train.epochs", epochs, f"about {epochs * steps} steps; stops earlier where validation says so")
    choices.settle("train.learning_rate", 0.002, "twice the usual rate of Adam: embeddings learn from few words a step")
    choices.settle("train.warmup_steps", min(100, steps), "at most one epoch")
