"""Captures made by hand, for what only stores or draws them."""

import torch

from attnkit.attention.combine import Sum
from attnkit.attention.normalizer import Entmax, Softmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.score import Additive, ScaledDot
from attnkit.attention.where import Where
from attnkit.capture.captured import Capture, CapturedLayer, Check, Edges, Pooled
from attnkit.capture.statistics import STATISTICS
from attnkit.layers.taps import Seen

SPECS = {
    "causal": Pairwise(score=ScaledDot(), pattern=Causal(), normalizer=Softmax()),
    "additive": Pairwise(score=Additive(hidden=8), pattern=Causal() & Window(5), normalizer=Entmax(alpha=1.5)),
    "hybrid": Sum((Pairwise(score=ScaledDot()), Pairwise(score=ScaledDot(), pattern=Causal()))),
}


def seen_of(spec, generator, B=2, H=4, G=2, T=12, S=12, D=8, dtype=torch.float32, where=None) -> Seen:
    q, k, v = (torch.randn(B, n, L, D, generator=generator).to(dtype) for n, L in ((H, T), (G, S), (G, S)))
    where = where or Where.of(T, S, keep=torch.arange(S) < torch.tensor([[S], [S - 3]])[:B])
    params = init_params(spec, Dims(H, D, D), generator, dtype)
    return Seen("layer", spec, q, k, v, where, params, None, spec.mix(q, k, v, where, params, None))


def layer_of(A_BHTS, name="layer", kind="self", seen=None, rows=None, blocks=4, edges=3, **more) -> CapturedLayer:
    """What is known of a dense map, as a capture holds it."""
    B, H, T, S = A_BHTS.shape
    generator = torch.Generator().manual_seed(T * S)
    counted = T if rows is None else len(rows)
    shapes = {one.name: (B, H, S if one.axis == "key" else counted) for one in STATISTICS.values()}
    statistics = {name: torch.randn(shape, generator=generator).exp() for name, shape in shapes.items()}
    p = A_BHTS.clamp(min=1e-12)
    kept = slice(None) if rows is None else rows
    statistics |= {
        "entropy": -(p * p.log()).sum(-1)[..., kept],
        "sink": A_BHTS[..., kept, 0].clone(),
        "received": A_BHTS.sum(2),
        "signed_distance": torch.randn(B, H, counted, generator=generator),
    }
    query_tokens, key_tokens = -(-T // blocks), -(-S // blocks)
    down, across = (
        (torch.arange(L)[:, None] // size == torch.arange(-(-L // size))).float()
        for L, size in ((T, query_tokens), (S, key_tokens))
    )
    mass = (down / down.sum(0)).T @ A_BHTS @ across
    weight, key = A_BHTS.topk(min(edges, S), -1)
    return CapturedLayer(
        name=name,
        kind=kind,
        operator="ScaledDot, Softmax",
        batch=B,
        heads=H,
        T=T,
        S=S,
        statistics=statistics,
        undefined={"largest_logit": "it has no scores"},
        check=Check(1.5e-7, counted),
        query_keep=torch.ones(B, T, dtype=torch.bool),
        key_keep=torch.ones(B, S, dtype=torch.bool),
        rows=rows,
        pooled=Pooled(mass, query_tokens, key_tokens),
        edges=Edges(weight, key.masked_fill(weight == 0, -1)),
        seen=seen,
        **more,
    )


def capture_of(T=12, S=12, B=2, H=4, layers=3, tokens=None, **more) -> Capture:
    generator = torch.Generator().manual_seed(7)
    made = []
    for index in range(layers):
        scores = torch.randn(B, H, T, S, generator=generator) * (1 + index)
        A = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), float("-inf")).softmax(-1)
        made.append(layer_of(A, f"layers.{index}", **more))
    words = tokens or [[f"word{i}" for i in range(S)] for _ in range(B)]
    return Capture(made, {"text": words}, title="made by hand", notes=["nothing was sampled"])
