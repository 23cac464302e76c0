"""One sweep over a map: tiles of whole rows, each in a workspace that the next one writes over."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum
from attnkit.attention.normalizer import NORMALIZERS
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.position import POSITIONS
from attnkit.attention.refine import REFINEMENTS, Recurrent
from attnkit.attention.refine.base import Refinement
from attnkit.attention.score import SCORES
from attnkit.attention.where import Where
from attnkit.capture.statistics import scores_pairs, tells_who_meets
from attnkit.capture.sweep_rows import map_rows, some_queries
from attnkit.kernels.functionals import in_slabs
from attnkit.kernels.kernel import Call
from attnkit.kernels.partition import Slab, partition
from attnkit.kernels.rows.normalizer import SoftmaxRows
from attnkit.kernels.rows.place import HEIGHTS, STARTING_PAIRS, Place, Space, places
from attnkit.kernels.rows.program import Program, program
from attnkit.kernels.rows.score import ProductScore

# Stands for minus infinity: its exponential is zero and its product with zero is zero, where infinity's is not.
HIDDEN = -1e30
# Keys whose largest score is taken together: the largest of a row are looked for in few of such blocks.
PEAK = 64
# Scores within this need no shift before the exponential, and leave the entropy its digits.
UNSHIFTED = 16.0
# Numbers of a tile: low ones stay in a core's cache while they are counted, but make poor products.
TILE_NUMBERS = 1 << 21
# Numbers of a tile, all items and heads counted, where rows are not made in slabs.
CHUNK_NUMBERS = 1 << 21


@dataclass(frozen=True, eq=False)
class Tile:
    """Rows of one item and some heads: A_HRC = weights_HRC, or weights_HRC / their sum where `scores_HRC` is there.

    `scores_HRC` are then the logarithms of the weights. `peaks` (H x R, blocks) are the largest weights, or scores, of
    every PEAK columns. `logit_HR` are the largest scores before normalizer and refinements, `met_HR` the number of keys
    that each query may see; None where nobody knows or asked. `seen_HR` is False where a query may see nothing.
    """

    item: int
    heads: slice
    rows: slice
    columns: slice
    weights_HRC: Tensor
    scores_HRC: Tensor | None = None
    peaks: Tensor | None = None
    logit_HR: Tensor | None = None
    met_HR: Tensor | None = None
    seen_HR: Tensor | None = None


def tiles(
    spec: Attention,
    call: Call,
    wanted: frozenset[str],
    index: Tensor | None = None,
    heads: frozenset[int] | None = None,
) -> Iterator[Tile]:
    """Every row of the map, or of the queries `index` where the operator's rows need others beside them.

    Heads are left out where none of a tile is in `heads`. `wanted` are names of statistics: `largest_logit` and
    `entropy_share` take a pass of their own.
    """
    if index is None and isinstance(spec, Pairwise) and in_slabs(spec, call):
        yield from _slabs(spec, call, wanted, heads)
        return
    T = call.where.T
    everything = torch.arange(T, device=call.q_BHTD.device) if index is None else index
    start = 0
    B, H = call.q_BHTD.shape[:2]
    for some in everything.split(max(1, CHUNK_NUMBERS // max(1, B * H * call.where.S))):
        a_BHRS = map_rows(spec, call, some)
        where = some_queries(call.where, some)
        logit = _largest_logit(spec, call, some, where) if "largest_logit" in wanted and scores_pairs(spec) else None
        met = met_keys(spec, where, a_BHRS.shape) if "entropy_share" in wanted and tells_who_meets(spec) else None
        rows = slice(start, start + len(some))
        for item in range(B):
            own_logit, own_met = (None if x is None else x[item] for x in (logit, met))
            yield Tile(
                item,
                slice(0, H),
                rows,
                slice(0, call.where.S),
                a_BHRS[item].contiguous(),
                None,
                None,
                own_logit,
                own_met,
            )
        start = rows.stop


def _slabs(spec: Pairwise, call: Call, wanted: frozenset[str], heads: frozenset[int] | None) -> Iterator[Tile]:
    where = call.where
    heights = tuple(height for height in HEIGHTS if height * where.S <= TILE_NUMBERS) or HEIGHTS[:1]
    slabs = partition(spec.pattern, where.T, where.S, where.aligned and _narrows(spec), heights, STARTING_PAIRS)
    read = [part.rows_read or (0, 0) for part in spec.refine]
    beyond = sum(above for above, _ in read), sum(below for _, below in read)
    made = program(spec, call, None, False, exact_scores="largest_logit" in wanted)
    for stage in made.stages:
        if isinstance(stage, ProductScore):
            # A product reads keys sooner where each of their numbers lies beside that of the next key.
            stage.tensors[1] = stage.tensors[1].mT.contiguous().mT
    space = Space(made.v_BHSE.dtype, made.v_BHSE.device)
    last = _stage_counts(spec, made)
    softmax = last[1] + 1 == len(made.stages) and type(made.stages[last[1]]) is SoftmaxRows
    met: Tensor | None = None
    mask: _Mask | None = None
    at: tuple[int, slice] | None = None
    for place in _places(spec, call, slabs, beyond, made.whole_heads):
        if heads is not None and heads.isdisjoint(range(place.heads.start, place.heads.stop)):
            continue
        if at != (place.item, place.core):
            at = place.item, place.core
            mask = _Mask.of(place)
            met = _counted(place) if "entropy_share" in wanted else None
        own_met = met if met is None or met.shape[0] == 1 else met[place.heads]
        x = space.take("scores", (0, 0, 0))
        for stage in made.stages[: last[0]]:
            x = stage.forward(x, place, space, False)
        logit = None
        if "largest_logit" in wanted and (last[0] < last[1] or not softmax):
            logit = _hidden(x.clone(), place, mask).amax(-1)[:, place.within]
        for stage in made.stages[last[0] : last[1]]:
            x = stage.forward(x, place, space, False)
        if softmax:
            tile = _exponentials(_hidden(x, place, mask), place, space)
            yield replace(tile, met_HR=own_met, logit_HR=tile.logit_HR if logit is None else logit)
            continue
        for stage in made.stages[last[1] :]:
            x = stage.forward(x, place, space, False)
        weights = x[:, place.within].contiguous()
        yield Tile(place.item, place.heads, place.core, place.columns, weights, logit_HR=logit, met_HR=own_met)


def _places(
    spec: Pairwise, call: Call, slabs: tuple[Slab, ...], beyond: tuple[int, int], whole_heads: bool
) -> Iterator[Place]:
    """Every slab, with as many heads together as fill a tile."""
    B, H = call.q_BHTD.shape[:2]
    for slab in slabs:
        together = H if whole_heads else max(1, min(H, TILE_NUMBERS // max(1, slab.pairs)))
        yield from places(spec, call.where, B, H, (slab,), beyond, together)


@dataclass(frozen=True, eq=False)
class _Mask:
    """The columns of a slab that some query may not meet, and which pairs those are, (1 or H, R or 1, columns)."""

    columns: slice
    hidden: Tensor

    @staticmethod
    def of(place: Place) -> "_Mask | None":
        """That of any heads; None where all may meet."""
        if place.allowed_1HRS is None:
            return None
        hidden = ~place.allowed_1HRS[0]
        hidden = hidden.expand(*hidden.shape[:2], place.shape[2])
        some = hidden.flatten(0, 1).any(0).nonzero()
        columns = slice(int(some[0]), int(some[-1]) + 1)
        return _Mask(columns, hidden[..., columns])


def _stage_counts(spec: Pairwise, made: Program) -> tuple[int, int]:
    """How many stages make the scores, and how many stand before the normalizer."""
    on_weights = sum(type(part).on_weights is not Refinement.on_weights for part in spec.refine)
    on_scores = sum(type(part).on_scores is not Refinement.on_scores for part in spec.refine)
    before = len(made.stages) - 1 - on_weights
    return before - on_scores, before


def _hidden(x_HRC: Tensor, place: Place, mask: _Mask | None) -> Tensor:
    """In place: HIDDEN where a pair may not meet."""
    if mask is not None:
        hidden = mask.hidden if mask.hidden.shape[0] == 1 else mask.hidden[place.heads]
        x_HRC[..., mask.columns].masked_fill_(hidden, HIDDEN)
    return x_HRC


def _exponentials(x_HRC: Tensor, place: Place, space: Space) -> Tile:
    """The softmax before its division; a shift of scores cancels in it."""
    if place.core != place.rows:
        x_HRC = x_HRC[:, place.within]
    x_HRC = x_HRC.contiguous()
    shape = x_HRC.shape[:2]
    peaks = peaks_of(x_HRC.flatten(0, 1))
    logit = peaks.amax(-1)
    seen: Tensor | None = None
    if place.allowed_1HRS is not None:
        seen = logit > 0.5 * HIDDEN
        logit, seen = logit.where(seen, 0.0), seen.view(shape)
    if float(logit.abs().amax()) > UNSHIFTED:
        x_HRC.sub_(logit.view(*shape, 1))
        peaks = peaks - logit[:, None]
    weights = torch.exp(x_HRC, out=space.take("weights", x_HRC.shape))
    logit_HR = logit.view(shape)
    return Tile(place.item, place.heads, place.core, place.columns, weights, x_HRC, peaks, logit_HR, None, seen)


def peaks_of(x_NC: Tensor) -> Tensor:
    """The largest of every PEAK columns, and of those left over: (N, blocks)."""
    whole = x_NC.shape[1] // PEAK
    if not whole:
        return x_NC.amax(-1, keepdim=True)
    found = x_NC[:, : whole * PEAK].unflatten(1, (whole, PEAK)).amax(-1)
    if whole * PEAK == x_NC.shape[1]:
        return found
    return torch.cat([found, x_NC[:, whole * PEAK :].amax(-1, keepdim=True)], dim=1)


def _counted(place: Place) -> Tensor:
    """How many keys each query of the core may see, (1 or H, R)."""
    if place.allowed_1HRS is None:
        rows, columns = place.core.stop - place.core.start, place.columns.stop - place.columns.start
        return torch.full((1, rows), columns, device=place.where.key_position.device)
    allowed = place.allowed_1HRS[0].expand(-1, place.shape[1], place.shape[2])
    return allowed[:, place.within].sum(-1)


def _largest_logit(spec: Attention, call: Call, index: Tensor, where: Where) -> Tensor:
    assert isinstance(spec, Pairwise)
    scores = spec.logits(call.q_BHTD[:, :, index], call.k_BGSD, where, call.params)
    allowed = spec.allowed(where)
    return (scores if allowed is None else scores.masked_fill(~allowed, HIDDEN)).amax(-1)


def met_keys(spec: Attention, where: Where, shape: torch.Size) -> Tensor:
    """Number of keys that each query may see, (B, H, R)."""
    return _meets(spec, where).expand(shape).sum(-1)


def _meets(spec: Attention, where: Where) -> Tensor:
    """True where query and key may meet, broadcastable to (B, H, R, S)."""
    if isinstance(spec, Sum | Mixture):
        first, *others = (_meets(part, where) for part in spec.of)
        for other in others:
            first = first | other
        return first
    kept = where.kept
    all_true = torch.ones(1, 1, where.T, where.S, dtype=torch.bool, device=where.key_position.device)
    if isinstance(spec, Pairwise):
        allowed = spec.allowed(where)
        return all_true if allowed is None else allowed
    met = all_true if kept is None else kept
    return met & (where.j <= where.i) if spec.claims().causal else met


def _narrows(spec: Pairwise) -> bool:
    """True where every part is one of ours, and none of them looks at keys that may not be met."""
    known = {*SCORES, *POSITIONS, *NORMALIZERS, *REFINEMENTS} - {Recurrent}
    return {type(spec.score), type(spec.position), type(spec.normalizer), *map(type, spec.refine)} <= known
