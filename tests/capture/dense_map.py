"""What statistics are held to: a call that was drawn, its dense map in float64, and every definition counted on it."""

import math

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum
from attnkit.attention.heads import share_heads
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where
from attnkit.capture.captured import CapturedLayer, Kind, Wanted
from attnkit.capture.statistics import STATISTICS, undefined
from attnkit.layers.taps import Seen

B, H, D, E = 2, 4, 8, 6


def record(
    spec: Attention,
    T: int = 37,
    S: int = 37,
    *,
    G: int = H,
    where: Where | None = None,
    dtype: torch.dtype = torch.float32,
    sharp: float = 1.0,
    shake: float = 0.2,
    seed: int = 0,
) -> Seen:
    """A call of `spec` on numbers that were drawn; its parameters are away from where they begin."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    q, k, v = (sharp * draw(B, H, T, D)).to(dtype), draw(B, G, S, D).to(dtype), draw(B, G, S, E).to(dtype)
    params = init_params(spec, Dims(H, D, E), generator)
    params = {name: value + shake * draw(*value.shape) for name, value in params.items()}
    state = draw(B, H, T, S).softmax(-1) if spec.needs_state else None
    where = Where.of(T, S) if where is None else where
    wide = {name: value.double() for name, value in params.items()}
    lower = None if state is None else state.double()
    out = spec.mix(q.double(), k.double(), v.double(), where, wide, lower).to(dtype)
    return Seen("one", spec, q, k, v, where, params, state, out)


def dense(seen: Seen) -> Tensor:
    """The map in float64."""
    params = {name: value.double() for name, value in seen.params.items()}
    state = None if seen.state is None else seen.state.double()
    return seen.spec.matrix(seen.q_BHTD.double(), seen.k_BGSD.double(), seen.where, params, state)


def met(spec: Attention, where: Where) -> Tensor:
    """Who may meet whom, (B or 1, 1, T, S)."""
    if isinstance(spec, Sum | Mixture):
        first, second = (met(part, where) for part in spec.of)
        return first | second
    every = torch.ones(1, 1, where.T, where.S, dtype=torch.bool)
    if isinstance(spec, Pairwise):
        allowed = spec.allowed(where)
        return every if allowed is None else allowed & every
    every = every if where.kept is None else every & where.kept
    return every & (where.j <= where.i) if spec.claims().causal else every


def expected(seen: Seen, kind: Kind, a: Tensor) -> dict[str, Tensor]:
    """Every statistic from the dense map `a`, a line of its definition each."""
    where, spec = seen.where, seen.spec
    T, S = a.shape[2:]
    real = torch.ones(B, T, dtype=torch.bool)
    if where.query_keep is not None:
        real = where.query_keep.expand(B, T)
    elif where.keep is not None and kind == "self":
        real = where.keep.expand(B, S)[:, S - T :]
    a = a * real[:, None, :, None]
    total = a.sum(-1)
    there = total != 0
    p = a / total.where(there, 1.0)[..., None]
    j, i = where.j.double(), where.i.double()
    mean = (p * j).sum(-1)
    entropy = -torch.xlogy(p, p).sum(-1)
    found = {
        "total": total,
        "entropy": entropy,
        "span": entropy.exp() * there,
        "distance": (p * (j - i).abs()).sum(-1),
        "signed_distance": (p * (j - i)).sum(-1),
        "spread": (p * (j - mean[..., None]).square()).sum(-1).clamp(min=0).sqrt(),
        "largest_weight": a.amax(-1) * there,
        "received": a.sum(2),
    }
    v = share_heads(seen.v_BGSE, H).double()
    found["value_norm"] = (a @ v).norm(dim=-1)
    found["received_norm"] = found["received"] * v.norm(dim=-1)
    if "entropy_share" not in undefined(spec, kind):
        n = met(spec, where).expand(a.shape).sum(-1)
        found["entropy_share"] = entropy / n.clamp(min=2).double().log() * (n > 1)
    if "largest_logit" not in undefined(spec, kind):
        assert isinstance(spec, Pairwise)
        params = {name: value.double() for name, value in seen.params.items()}
        logits = spec.logits(seen.q_BHTD.double(), seen.k_BGSD.double(), where, params)
        allowed = met(spec, where) & real[:, None, :, None]
        largest = logits.masked_fill(~allowed, -math.inf).amax(-1)
        found["largest_logit"] = largest.masked_fill(largest == -math.inf, 0.0)
    keep = torch.ones(B, S, dtype=torch.bool) if where.keep is None else where.keep.expand(B, S)
    mine = keep[:, None, None, :].expand(B, 1, T, S)
    if where.same_document is not None:
        mine = mine & where.same_document
    # Of the keys of the query's own text the first, and those that stand beside it.
    found["sink"] = (a * (mine & (mine.cumsum(-1) == 1))).sum(-1)
    for name, step in (("diagonal", 0), ("previous", -1), ("next", 1)):
        found[name] = (a * (mine & (where.j == where.i + step))).sum(-1)
    return found


def off_by(got: Tensor, want: Tensor, scale: Tensor) -> float:
    """The largest difference over the larger of one and `scale`."""
    return float(((got.double() - want) / scale.abs().clamp(min=1.0)).abs().max())


def close(got: Tensor, want: Tensor, name: str, budget: float = 1e-5) -> None:
    """Within `budget` of the larger of one and the number."""
    assert got.dtype == torch.float32 and got.device.type == "cpu"
    assert got.shape == want.shape, name
    off = off_by(got, want, want)
    assert off <= budget, f"{name} is off by {off:.2g}"


def held(seen: Seen, kind: Kind, layer: CapturedLayer, plain: bool = False) -> None:
    """Each statistic is there and right, or has a reason, and the reasons are the known ones.

    Right is within 1e-5 of the larger of one and the number; for the signed distance, in which far keys on both sides
    cancel, of the larger of one and the distance. With `plain` also within twice the error of the dense map in float32.
    """
    reasons = undefined(seen.spec, kind)
    want = expected(seen, kind, dense(seen))
    rough = expected(seen, kind, seen.matrix().double()) if plain else want
    for name in STATISTICS:
        assert (name in layer.statistics) != (name in layer.undefined), name
        if name in layer.statistics:
            assert name not in reasons
            got, scale = layer.statistics[name], want["distance" if name == "signed_distance" else name]
            assert got.dtype == torch.float32 and got.device.type == "cpu"
            assert got.shape == want[name].shape
            off, budget = off_by(got, want[name], scale), max(1e-5, 2.0 * off_by(rough[name], want[name], scale))
            assert off <= budget, f"{name} is off by {off:.2g}"
        else:
            assert len(layer.undefined[name]) > 10


def held_maps(seen: Seen, kind: Kind, layer: CapturedLayer, wanted: Wanted) -> None:
    """The pooled map and the edges are those of the map."""
    a = dense(seen)
    T, S = a.shape[2:]
    keep = torch.ones(B, T, dtype=torch.bool) if layer.query_keep is None else layer.query_keep
    a = a * keep[:, None, :, None]
    assert layer.pooled is not None and layer.edges is not None
    of_t, of_s = layer.pooled.query_tokens, layer.pooled.key_tokens
    assert (of_t, of_s) == (-(-T // wanted.blocks), -(-S // wanted.blocks))
    mass = layer.pooled.mass_BHRC
    assert mass.shape == (B, H, -(-T // of_t), -(-S // of_s))
    rows_of, keys_of = (torch.arange(n)[:, None] // size for n, size in ((T, of_t), (S, of_s)))
    of_query = (rows_of == torch.arange(mass.shape[2])).double() * keep[:, None, :, None]
    of_key = (keys_of == torch.arange(mass.shape[3])).double()
    close(mass, of_query.mT @ a @ of_key / of_query.sum(2).clamp(min=1.0)[..., None], "pooled")
    weight, key = layer.edges.weight_BHTN, layer.edges.key_BHTN
    assert weight.shape == key.shape == (B, H, T, wanted.edges)
    there = key >= 0
    close(weight, a.gather(-1, key.clamp(min=0)) * there, "edges")
    if seen.spec.claims().nonnegative:
        most = torch.cat([a, a.new_zeros(B, H, T, wanted.edges)], -1).topk(wanted.edges, -1).values
        close(weight, most, "largest edges")
        assert bool((weight[~there] == 0).all()) and bool((weight[there] > 0).all())
