"""How many texts a step reads, and how they stand together."""

from attnkit.errors import UsageError
from attnkit.model.operator import operator
from attnkit.model.settings import chosen
from attnkit.train.choices import Choices
from attnkit.train.choose_wide import SHORT_TEXT_TOKENS
from attnkit.train.terms.check import needs_padding

FEW_ROWS = 20_000


def choose_mixed_rows(choices: Choices) -> None:
    """Settle how many texts a step reads where each draws its own number.

    Raises: UsageError where two fields say it differently.
    """
    train = choices.recipe.train
    if train.batch_mix:
        mean = max(1, round(sum(train.batch_mix) / len(train.batch_mix)))
        choices.settle("train.batch_rows", mean, "the mean of train.batch_mix, from which each batch draws its size")
        if choices.recipe.train.batch_rows != mean:
            raise UsageError(
                f"train.batch_mix = {list(train.batch_mix)} draws the size of each batch, and train.batch_rows = "
                f"{train.batch_rows} says another; leave one of the two out"
            )


def choose_batch_rows(choices: Choices, rows: int, median_tokens: int) -> None:
    """Settle how many texts a step reads."""
    train = choices.recipe.train
    if train.batch_tokens and not choices.recipe.model.hierarchical:
        most = max(1, train.batch_tokens // max(1, median_tokens))
        choices.settle("train.batch_rows", most, f"as many median texts as {train.batch_tokens} tokens hold")
    if choices.recipe.model.hierarchical is True:
        choices.settle("train.batch_rows", 16, "a document is a batch of sentences")
    else:
        choices.settle("train.batch_rows", 32 if rows < FEW_ROWS else 64, f"{rows} training texts")


def choose_batches(choices: Choices, median_tokens: int, allow_code: bool = False) -> None:
    """Settle how the texts of a step stand together, from what reads them and how long they are."""
    recipe = choices.recipe
    if recipe.train.batches != "auto":
        return
    median = min(median_tokens, chosen(recipe.tokens.max_tokens))
    if recipe.model.hierarchical is True:
        value, reason = "sorted", "a hierarchical model reads tables of sentences, which cannot stand end to end"
    elif reason_against := needs_padding(recipe):
        value, reason = "sorted", reason_against
    elif recipe.model.encoder not in ("transformer", "bert"):
        value, reason = "sorted", f"the encoder {recipe.model.encoder} reads texts side by side"
    elif operator(recipe.model.attention, allow_code).needs_state:
        value, reason = "sorted", "its attention reads the map of the layer below, which a packed batch does not keep"
    elif median <= SHORT_TEXT_TOKENS:
        value, reason = "sorted", f"the median text has {median} tokens: many short texts go faster side by side"
    else:
        value = "packed_sorted"
        reason = f"the median text has {median} tokens: nothing is padded, and texts of one length go side by side"
    choices.settle("train.batches", value, reason)
