"""From one recorded call of one attention to its numbers, without its map."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.heads import share_heads
from attnkit.attention.where import Where
from attnkit.capture.captured import CapturedLayer, Check, Edges, Kind, Pooled, Wanted
from attnkit.capture.sampling import sampled
from attnkit.capture.statistics import chosen, undefined
from attnkit.capture.sweep import Tile, tiles
from attnkit.capture.sweep_counts import Counts, Extras
from attnkit.capture.sweep_places import shared_positions
from attnkit.capture.sweep_rows import map_rows, of_queries, row_by_row, some_queries
from attnkit.kernels.denormals import flushed
from attnkit.kernels.functionals import wide_call
from attnkit.kernels.kernel import Call
from attnkit.layers.taps import Seen

# Rows of the map that are held to what the kernel gave.
CHECKED = 16


def measure(seen: Seen, kind: Kind, wanted: Wanted, incomparable: str | None = None) -> CapturedLayer:
    """The numbers of one attention: statistics, and from level "maps" on the pooled map and the heaviest edges.

    Counted in float32, or in float64 where the model runs in it; handed out in float32 on the CPU. Queries of padding
    count for nothing: where a text attends to itself and only its keys say what is padding, its queries are taken to be
    the same tokens. `incomparable` says why the recorded output is not that of the map (dropout, for one). Where
    `wanted.heads` names the layer, the numbers are of those heads alone, in that order.

    Raises: ValueError where a statistic, a head or a number of rows, blocks or edges is not possible.
    Cost: for the softmax of products, about 1.8 times the fused forward pass for entropy, distance, sink, received
        weight, edges and pooled map together, and 2.8 times for everything; memory linear in T and S.
    """
    q, k, v = seen.q_BHTD, seen.k_BGSD, seen.v_BGSE
    B, H, T, _ = q.shape
    S = k.shape[2]
    names, heads = chosen(wanted.statistics), _heads(seen.name, wanted, H)
    extras = _extras(wanted, T, S)
    where = seen.where
    real = _real_queries(where, kind, B)
    reasons = undefined(seen.spec, kind)
    if kind == "self" and shared_positions(where):
        reasons |= dict.fromkeys(("diagonal", "previous", "next"), "several keys stand at one position")
    index = sampled(T, real, wanted.rows)
    if index is not None:
        told = f"{len(index)} of {T} queries were taken, and a key's sum wants all of them"
        reasons |= dict.fromkeys(("received", "received_norm"), told)
    asked = frozenset(name for name in names if name not in reasons)
    with torch.no_grad(), torch.autocast(q.device.type, enabled=False), flushed():
        call = wide_call(q, k, where, seen.params, seen.state)
        taken = torch.arange(T, device=q.device) if index is None else index.to(q.device)
        own = None if real is None else real[:, taken]
        some = call.where if index is None else some_queries(call.where, taken)
        counts = Counts(asked, extras, some, v.to(call.q_BHTD.dtype), H, taken, own, kind == "self")
        for tile in _swept(seen.spec, call, None if index is None else taken, asked, heads):
            counts.add(tile)
        check = _check(seen, call, real, incomparable)
        found = counts.finished()
    keys = None if heads is None else torch.tensor(heads, device=q.device)

    def handed(x: Tensor) -> Tensor:
        own = x if keys is None else x[:, keys]
        return own.to("cpu", torch.float32 if own.is_floating_point() else own.dtype)

    edges, pooled = counts.edges, counts.pooled
    return CapturedLayer(
        name=seen.name,
        kind=kind,
        operator=_called(seen.spec),
        batch=B,
        heads=H if heads is None else len(heads),
        T=T,
        S=S,
        statistics={name: handed(found[name]) for name in names if name in found},
        undefined={name: reasons[name] for name in names if name in reasons},
        check=check,
        query_keep=_keep(real, B),
        key_keep=_keep(where.keep, B),
        rows=None if index is None else index.cpu(),
        pooled=None
        if pooled is None
        else Pooled(_whole(handed(pooled), T, extras), extras.query_tokens, extras.key_tokens),
        edges=None if edges is None else Edges(handed(edges[0]), handed(edges[1])),
        seen=seen if wanted.level == "full" else None,
    )


@torch.no_grad()
def rows(seen: Seen, indices: Sequence[int] | Tensor, heads: Sequence[int] | None = None) -> Tensor:
    """A_BHRS, the rows of the map at these queries, exact, in float32 on the CPU; of `heads` alone where given.

    Raises: ValueError where a query or a head is not there.
    Cost: R x S scores a head for operators whose rows stand for themselves; no map.
    """
    H, T = seen.q_BHTD.shape[1:3]
    index = torch.as_tensor(indices, dtype=torch.int64).flatten()
    for name, asked, most in (("query", index.tolist(), T), ("head", list(heads or ()), H)):
        wrong = [one for one in asked if not 0 <= one < most]
        if wrong:
            raise ValueError(f"there is no {name} {wrong[0]} in {seen.name!r}; give 0 to {most - 1}")
    with torch.autocast(seen.q_BHTD.device.type, enabled=False), flushed():
        call = wide_call(seen.q_BHTD, seen.k_BGSD, seen.where, seen.params, seen.state)
        found = map_rows(seen.spec, call, index.to(seen.q_BHTD.device))
    found = found if heads is None else found[:, list(heads)]
    return found.to("cpu", torch.float32)


def _swept(
    spec: Attention, call: Call, index: Tensor | None, asked: frozenset[str], heads: tuple[int, ...] | None
) -> Iterator[Tile]:
    only = None if heads is None else frozenset(heads)
    if index is not None and row_by_row(spec):
        # Rows that stand for themselves are swept as if the others had never been there.
        return tiles(spec, of_queries(call, index), asked, None, only)
    return tiles(spec, call, asked, index, only)


def _check(seen: Seen, call: Call, real_BT: Tensor | None, incomparable: str | None) -> Check:
    """Up to CHECKED real rows of the map times the values, against the output."""
    if incomparable is not None:
        return Check(None, 0, incomparable)
    if seen.out_BHTE is None or not seen.out_BHTE.numel():
        return Check(None, 0, "no output was recorded")
    index = sampled(call.where.T, real_BT, CHECKED)
    index = (torch.arange(call.where.T) if index is None else index).to(call.q_BHTD.device)
    out = seen.out_BHTE[:, :, index].to(call.q_BHTD.dtype)
    mixed = map_rows(seen.spec, call, index) @ share_heads(seen.v_BGSE.to(out.dtype), out.shape[1])
    if real_BT is not None:
        # What a kernel gives to padding nobody reads.
        own = real_BT[:, None, index, None]
        out, mixed = out * own, mixed * own
    size = float(out.double().square().mean().sqrt())
    error = float((mixed - out).abs().amax())
    return Check(error / size if size else error, len(index))


def _real_queries(where: Where, kind: Kind, B: int) -> Tensor | None:
    """Which queries are no padding (B, T); where only keys say so, queries that are the same tokens are padding too."""
    T, S = where.T, where.S
    if where.query_keep is not None:
        return where.query_keep.expand(B, -1)
    same = kind == "self" and (T == S or (where.aligned and T < S))
    return where.keep[:, S - T :].expand(B, -1) if same and where.keep is not None else None


def _heads(name: str, wanted: Wanted, H: int) -> tuple[int, ...] | None:
    heads = None if wanted.heads is None else wanted.heads.get(name)
    wrong = [head for head in heads or () if not 0 <= head < H]
    if wrong:
        raise ValueError(f"there is no head {wrong[0]} in {name!r}; give 0 to {H - 1}")
    return heads


def _extras(wanted: Wanted, T: int, S: int) -> Extras:
    for name, number, least in (("blocks", wanted.blocks, 1), ("edges", wanted.edges, 0)):
        if number < least:
            raise ValueError(f"{name} must be at least {least}; got {number}")
    if wanted.level == "stats":
        return Extras()
    return Extras(-(-T // wanted.blocks) or 1, -(-S // wanted.blocks) or 1, wanted.edges)


def _whole(mass_BHRC: Tensor, T: int, extras: Extras) -> Tensor:
    """With the blocks behind the last query that was sampled."""
    return F.pad(mass_BHRC, (0, 0, 0, -(-T // extras.query_tokens) - mass_BHRC.shape[2]))


def _keep(keep: Tensor | None, B: int) -> Tensor | None:
    return None if keep is None else keep.expand(B, -1).cpu()


def _called(spec: Attention) -> str:
    """The catalogue's name where it has one, else the operator's own words."""
    return next((name for name, entry in CATALOGUE.items() if entry.operator == spec), str(spec))
