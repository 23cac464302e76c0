# ruff: noqa: E501
"""What is counted of a map, by name, and where it means nothing."""

from dataclasses import dataclass
from typing import Literal

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum
from attnkit.attention.factored import CausalLinear, Linear, Linformer, Nystrom, Performer
from attnkit.attention.nearest import nearest
from attnkit.attention.pairwise import Pairwise
from attnkit.capture.captured import Kind


@dataclass(frozen=True)
class Statistic:
    """One number a query, or a key, and head: its `title` for a reader, its `unit`, and a formula or sentence."""

    name: str
    title: str
    axis: Literal["query", "key"]
    unit: str
    doc: str


# fmt: off
_ALL = (
    Statistic("total", "Row sum", "query", "weight", "sum_s A_ts"),
    Statistic("entropy", "Entropy", "query", "nats", "-sum_s p_ts ln p_ts with p_ts = A_ts / sum_u A_tu"),
    Statistic("entropy_share", "Normalized entropy", "query", "share", "entropy over ln n, n the keys that the query may see; 0 where it sees one"),
    Statistic("span", "Effective span", "query", "keys", "exp(entropy): how many keys with equal weights would be as even"),
    Statistic("distance", "Distance", "query", "tokens", "sum_s p_ts |j_s - i_t|, j_s and i_t the positions of key and query"),
    Statistic("signed_distance", "Signed distance", "query", "tokens", "sum_s p_ts (j_s - i_t): negative where it looks back"),
    Statistic("spread", "Spread", "query", "tokens", "standard deviation of j_s under p_ts"),
    Statistic("sink", "Weight on the first key", "query", "weight", "A_ts of the first real key; of the query's own document where documents are packed"),
    Statistic("diagonal", "Weight on itself", "query", "weight", "A_ts of the key at the query's own position"),
    Statistic("previous", "Weight on the previous", "query", "weight", "A_ts of the key one position before"),
    Statistic("next", "Weight on the next", "query", "weight", "A_ts of the key one position after"),
    Statistic("largest_weight", "Largest weight", "query", "weight", "max_s A_ts"),
    Statistic("largest_logit", "Largest score", "query", "score", "the largest score before the normalizer among keys that may be met: position and soft cap counted, refinements not"),
    Statistic("value_norm", "Norm of the result", "query", "norm", "|sum_s A_ts v_s|, Euclidean"),
    Statistic("received", "Received weight", "key", "weight", "sum_t A_ts over real queries"),
    Statistic("received_norm", "Received value", "key", "norm", "received times |v_s| (Kobayashi et al., 2020, eq. 3)"),
)
# fmt: on

STATISTICS: dict[str, Statistic] = {one.name: one for one in _ALL}

# Those that take a row for shares of a whole.
SHARES = ("entropy", "entropy_share", "span", "distance", "signed_distance", "spread")
# Those that compare where a query and a key stand.
PLACED = ("distance", "signed_distance", "diagonal", "previous", "next")


def chosen(names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The statistics of these names in the order of STATISTICS, all where None.

    Raises: ValueError with the nearest name where one is not known.
    """
    if names is None:
        return tuple(STATISTICS)
    for name in names:
        if name not in STATISTICS:
            known = ", ".join(STATISTICS)
            raise ValueError(f"no statistic is called {name!r}{nearest(name, STATISTICS)}; there are {known}")
    return tuple(name for name in STATISTICS if name in names)


def undefined(spec: Attention, kind: Kind) -> dict[str, str]:
    """Why a statistic of this operator means nothing, by name; what is not there is defined."""
    reasons: dict[str, str] = {}
    if kind != "self":
        told = {"cross": "queries and keys are different texts", "pooling": "queries are learned and stand nowhere"}
        reasons |= dict.fromkeys(PLACED, told[kind])
    if not scores_pairs(spec):
        reasons["largest_logit"] = f"{type(spec).__name__} makes no single score of a pair"
    if not tells_who_meets(spec):
        reasons["entropy_share"] = f"{type(spec).__name__} does not say how many keys a query may see"
    if not spec.claims().nonnegative:
        reasons |= dict.fromkeys(SHARES, f"weights of {_words(spec)} may be negative, and so are no shares")
    return reasons


def scores_pairs(spec: Attention) -> bool:
    """True where each pair has one score before the normalizer."""
    return isinstance(spec, Pairwise) and type(spec).matrix is Pairwise.matrix


def tells_who_meets(spec: Attention) -> bool:
    """True where it is known which key each query may see."""
    if isinstance(spec, Sum | Mixture):
        return all(tells_who_meets(part) for part in spec.of)
    return scores_pairs(spec) or type(spec) in (Linear, CausalLinear, Performer, Linformer, Nystrom)


def _words(spec: Attention) -> str:
    if isinstance(spec, Pairwise):
        for part in (spec.normalizer, *spec.refine):
            if not getattr(part, "keeps_sign", getattr(part, "nonnegative", True)):
                return type(part).__name__
    return type(spec).__name__
