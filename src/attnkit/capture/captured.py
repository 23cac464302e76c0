"""What a capture is: the attention of a model on one input, in numbers, layer by layer."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

from torch import Tensor

from attnkit.layers.taps import Seen

Kind = Literal["self", "cross", "pooling"]
Level = Literal["stats", "maps", "full"]
LEVELS: tuple[Level, ...] = ("stats", "maps", "full")


@dataclass(frozen=True)
class Wanted:
    """How much of each layer to keep.

    `level`: "stats" keeps a number a query or a key and head; "maps" also the pooled map and the heaviest edges; "full"
    also queries, keys and values, from which any row can be made again. `statistics` are names of STATISTICS, all where
    None. `rows` is the number of queries to sample for what is counted per query, all where None. `blocks` bounds the
    sides of the pooled map, `edges` is how many keys of a query are kept. `heads` are those kept per layer name, all
    where None.
    """

    level: Level = "maps"
    statistics: tuple[str, ...] | None = None
    rows: int | None = None
    blocks: int = 64
    edges: int = 8
    heads: dict[str, tuple[int, ...]] | None = None


@dataclass(frozen=True)
class Check:
    """The proof of a picture: rows of the map times the values, against what the kernel gave.

    `error` is the largest difference over the root mean square of the output, None where `reason` says why there is
    nothing to compare with (dropout, for one).
    """

    error: float | None
    rows: int
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Pooled:
    """The map in small: mass_BHRC is the mean over a block's queries of their weight on a block's keys.

    Block r holds the queries r * query_tokens to (r + 1) * query_tokens - 1, block c the keys likewise. Sums over keys,
    means over real queries, so that rows still sum to one where the map's do.
    """

    mass_BHRC: Tensor
    query_tokens: int
    key_tokens: int


@dataclass(frozen=True, eq=False)
class Edges:
    """The heaviest keys of each query, the heaviest first; weight 0 and key -1 where there are fewer."""

    weight_BHTN: Tensor
    key_BHTN: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class CapturedLayer:
    """One attention of a model on one input.

    `statistics` holds (B, H, T) of those counted per query, or (B, H, rows) where `rows` (indices of queries) were
    sampled, and (B, H, S) of those counted per key; `undefined` says why others are not there. `query_stream` and
    `key_stream` name the texts of `Capture.streams` that stand on the two sides, None where there is none (the learned
    queries of a pooling). `query_keep` (B, T) and `key_keep` (B, S) are True where a token is real.
    """

    name: str
    kind: Kind
    operator: str
    batch: int
    heads: int
    T: int
    S: int
    statistics: dict[str, Tensor]
    undefined: dict[str, str]
    check: Check
    query_keep: Tensor | None = None
    key_keep: Tensor | None = None
    rows: Tensor | None = None
    pooled: Pooled | None = None
    edges: Edges | None = None
    seen: Seen | None = None
    query_stream: str | None = "text"
    key_stream: str | None = "text"
    roles: list[list[dict[str, object]]] | None = None

    def __repr__(self) -> str:
        return f"CapturedLayer({self.name!r}, {self.kind}, {self.operator}, heads={self.heads}, T={self.T}, S={self.S})"


@dataclass(eq=False, repr=False)
class Capture:
    """The attention of a model on one input.

    `streams` are the tokens by name ("text"; "encoder" and "decoder" where there are two), a list an item of the batch;
    empty where nobody said them. `images` are (height, width) of the grid of patches of each item, where the tokens are
    that, by stream. `notes` are sentences that whoever looks should read (what was sampled, which layer gave nothing).
    `budget_bytes` is what saving keeps to where it is told nothing else.
    """

    layers: list[CapturedLayer] = field(default_factory=list)
    streams: dict[str, list[list[str]]] = field(default_factory=dict)
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    title: str = ""
    notes: list[str] = field(default_factory=list)
    explanations: list[dict[str, object]] = field(default_factory=list)
    budget_bytes: int | None = None

    def layer(self, name: str) -> CapturedLayer:
        """The layer of that name.

        Raises: KeyError with the names there are.
        """
        for one in self.layers:
            if one.name == name:
                return one
        raise KeyError(f"no captured layer is called {name!r}; there are {', '.join(one.name for one in self.layers)}")

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the page in a frame; None where there is nothing to show.

        Pages stand on captures and not the other way round: this one look upwards is by name, when a notebook asks.
        """
        if not self.layers:
            return None
        shown: str = import_module("attnkit.page.notebook").notebook_html(self)
        return shown

    def __repr__(self) -> str:
        heads = sum(layer.heads for layer in self.layers)
        return f"Capture({self.title!r}, {len(self.layers)} layers, {heads} heads, {len(self.notes)} notes)"
