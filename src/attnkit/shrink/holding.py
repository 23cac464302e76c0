"""How what is left of a network is held: fewer words, lower ranks, zeros, windows, and other numbers."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from attnkit.errors import UsageError
from attnkit.layers import AttentionLayer
from attnkit.model.changes import (
    BFloat16,
    Change,
    DynamicInt8,
    FactorizeEmbedding,
    FakeIntegers,
    IntegerWeights,
    LowRank,
    Magnitude,
    PruneVocabulary,
    StaticInt8,
    Window,
    apply_changes,
)
from attnkit.model.changes.base import layers_of, layers_path
from attnkit.model.changes.calibrated import second_moments
from attnkit.model.changes.low_rank import rank_for
from attnkit.model.changes.places import linear_maps
from attnkit.model.changes.prune_vocabulary import as_ranges
from attnkit.model.embedding import SEPARATOR
from attnkit.shrink.choose import amount
from attnkit.shrink.parent import Parent
from attnkit.shrink.reach import beyond, window_for
from attnkit.train.loop import predict_logits

Store = Literal["", "bfloat16", "int8", "int4", "int8-dynamic", "int8-static"]
TEXTS = 128

KINDS: dict[str, type[Change]] = {
    "window": Window,
    "words": PruneVocabulary,
    "rank": LowRank,
    "table": FactorizeEmbedding,
    "zeros": Magnitude,
    "rounded": FakeIntegers,
}
STORED: dict[str, tuple[Change, ...]] = {
    "": (),
    "bfloat16": (BFloat16(),),
    "int8": (IntegerWeights(8),),
    "int4": (IntegerWeights(4),),
    "int8-dynamic": (DynamicInt8(), IntegerWeights(8)),
    "int8-static": (StaticInt8(), IntegerWeights(8)),
}


@dataclass(frozen=True)
class Holding:
    """`words` is how many of them go, `table` the width of their table, `rank` the share of each map's answers that
    stays, `zeros` the share of its weights that goes, `window` the share of weight that a window may lose, `store` in
    what numbers the rest stands; with `rounded` it is trained as it will be stored.
    """

    words: str = ""
    table: int = 0
    rank: str = ""
    zeros: str = ""
    window: str = ""
    store: Store = ""
    rounded: bool = False

    def __post_init__(self) -> None:
        if self.store not in STORED:
            raise UsageError(f"--store takes {', '.join(filter(None, STORED))}, and got {self.store!r}")
        if self.rounded and self.store not in ("int8", "int4"):
            raise UsageError("--rounded trains weights as they will be stored; say so with --store int8 or int4")
        if self.table < 0:
            raise UsageError(f"--table takes a width of at least 1, and got {self.table}")

    def __bool__(self) -> bool:
        return self != Holding()

    @property
    def kinds(self) -> dict[str, type[Change]]:
        """What is asked for that comes before training."""
        return {name: kind for name, kind in KINDS.items() if getattr(self, name)}

    @property
    def stored(self) -> tuple[Change, ...]:
        """The changes of how numbers stand, which come after all training."""
        return STORED[self.store]

    def changes(self, parent: Parent, network: nn.Module, say: Callable[[str], None]) -> tuple[Change, ...]:
        """The changes that come before training; `network`, the parent's after what else goes, is changed by them.

        Raises: UsageError where one cannot be made.
        """
        made: list[Change] = []
        items = list(parent.part("train").items)
        if self.window:
            made += _windows(parent, network, share_of(self.window, "window"), say)
        if self.words:
            made.append(_pruned(parent, items, self.words))
            say(f"of {made[-1].rows:,} words {made[-1].rows - len(made[-1].numbers()):,} go")  # type: ignore[attr-defined]
        if self.rank:
            made += _ranks(parent, network, items, share_of(self.rank, "rank"), say)
        if self.table:
            made.append(FactorizeEmbedding(self.table, texts=TEXTS))
        if self.zeros:
            made.append(Magnitude(share_of(self.zeros, "zeros")))
        if self.rounded:
            made.append(FakeIntegers(4 if self.store == "int4" else 8))
        try:
            apply_changes(network, (*made, *self.stored))
        except ValueError as error:
            raise UsageError(f"{parent.run.path} cannot be shrunk so: {error}") from None
        return tuple(made)


def share_of(said: str, name: str) -> float:
    """ "90%" as 0.9.

    Raises: UsageError where it is no share between 0 and 100 %.
    """
    try:
        share = float(said.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not said.endswith("%") or not 0 < share < 1:
        raise UsageError(f"--{name} takes a share between 0% and 100%, such as 50%, and got {said!r}")
    return share


def kept_words(counts: Counter[int], vocabulary: int, count: int) -> PruneVocabulary:
    """The change by which the `count` words go that stand least often; of equal ones those of higher numbers."""
    special = list(range(SEPARATOR + 1))
    order = sorted(range(SEPARATOR + 1, vocabulary), key=lambda row: (-counts[row], row))
    return PruneVocabulary(as_ranges(sorted(special + order[: len(order) - count])), vocabulary)


def _pruned(parent: Parent, items: Sequence[Sequence[int] | Sequence[list[int]]], wish: str) -> PruneVocabulary:
    tokenizer = parent.prepare.tokenizer
    if tokenizer.kind not in ("word", "chars"):
        raise UsageError(
            f"the {tokenizer.kind} tokenizer of {parent.run.path} has pieces that are made of one another, so that "
            "without one of them other words would be cut otherwise; leave --words out"
        )
    counts = Counter(row for item in items for part in item for row in (part if isinstance(part, list) else [part]))
    words = tokenizer.size - SEPARATOR - 1
    count = amount(wish, words, "words")
    if count == words:
        raise UsageError(f"--words {wish} leaves no word of {words:,}; leave some")
    return kept_words(counts, tokenizer.size, count)


def _windows(parent: Parent, network: nn.Module, share: float, say: Callable[[str], None]) -> list[Window]:
    made, longest = [], 0
    for number, held in sorted(beyond(network, parent.prepare, parent.part("validation", TEXTS).items).items()):
        longest = held.shape[1] - 1
        attention = layers_of(network)[number].get_submodule("attention")
        assert isinstance(attention, AttentionLayer)
        causal = attention.spec.claims().causal
        width = window_for(held, share, causal)
        if width < (longest if causal else 2 * longest - 1):
            made.append(Window(number, width))
        said = f"a window of {width} tokens loses at most {share:.1%} of a head's weight"
        say(f"layer {number}: {said}" if made and made[-1].layer == number else f"layer {number} looks everywhere")
    if not made:
        rows = "sentences" if parent.prepare.hierarchical else "texts"
        raise UsageError(
            f"in no layer a window would lose at most {share:.1%} of the weight of every head ({rows} have up to "
            f"{longest} tokens); allow more with --window, or leave it out"
        )
    return made


def _ranks(
    parent: Parent,
    network: nn.Module,
    items: Sequence[list[int] | list[list[int]]],
    energy: float,
    say: Callable[[str], None],
) -> list[LowRank]:
    path = layers_path(network)
    maps: dict[str, nn.Module] = {name: one for name, one in linear_maps(network) if name.startswith(path)}
    some = items[:: max(1, len(items) // TEXTS)][:TEXTS]
    seen = second_moments(maps, lambda: _read(parent, network, some))
    found = {}
    for name, linear in linear_maps(network):
        if name in maps:
            rank = rank_for(linear.weight.detach(), energy, seen.get(name))
            if rank is not None:
                found[name] = rank
    say(f"{len(found)} of {len(maps)} maps become smaller at {energy:.0%} of what they answer")
    if not found:
        raise UsageError(f"no map becomes smaller at {energy:.0%} of what it answers; lower --rank, or leave it out")
    return [LowRank(tuple(found), tuple(found.values()), TEXTS)]


def _read(parent: Parent, network: nn.Module, items: Sequence[list[int] | list[list[int]]]) -> None:
    predict_logits(network, parent.prepare, items)
