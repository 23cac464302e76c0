"""How training texts become tokens, and how many of them are read."""

import statistics
from collections.abc import Sequence

from attnkit.train.choices import Choices
from attnkit.train.choose_wide import MANY_ROWS, wants_wide

LONG_DOCUMENT_TOKENS = 400
LONGEST_TOKENS = 512


def choose_tokens(choices: Choices, rows: int) -> None:
    """Settle how training texts become tokens, except the limits on length."""
    choices.settle("tokens.vocabulary_size", 30_000, "the usual size; rarer words carry little")
    choices.settle("tokens.lowercase", True, "small sets see too few capitals to learn both forms")
    if wants_wide(choices.recipe) and rows < MANY_ROWS:
        choices.settle("tokens.min_count", 1, "the wide branch counts pairs with words that are seen once")
    elif rows < 50_000:
        choices.settle("tokens.min_count", 2, f"a word seen once in {rows} texts cannot be learned")
    else:
        choices.settle("tokens.min_count", 5, f"words seen less than five times in {rows} texts are noise")


def choose_lengths(choices: Choices, counts: Sequence[int], paired: bool, longest: int | None = None) -> None:
    """Settle hierarchy and limits from the token counts of the training texts; `longest` is what a start can read."""
    longest = LONGEST_TOKENS if longest is None else min(longest, LONGEST_TOKENS)
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
    elif most <= longest:
        choices.settle("tokens.max_tokens", max(1, most), "the longest training text; none is cut")
    else:
        limit = min(longest, max(8, min(nearly_all, longest)))
        cut = sum(count > limit for count in counts)
        choices.settle("tokens.max_tokens", limit, f"{cut} of {len(counts)} training texts are longer and are cut")
    choices.settle("tokens.max_sentences", 100, "about the longest review; only hierarchical models read it")
