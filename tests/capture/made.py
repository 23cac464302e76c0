"""Captures made by hand, for what only stores or draws them."""

import dataclasses

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


ODD_TOKENS = ["", "\x00", "\n", "</script>", "中文", "\ud800", "🙂", '"quoted"', "\\", "a" * 500, "\x1b[31m", "$array"]


def same(a, b, within=1e-3) -> bool:
    """Two captures alike: floats within a share of themselves, all else to the bit."""
    if isinstance(a, torch.Tensor):
        if not isinstance(b, torch.Tensor) or a.shape != b.shape:
            return False
        close = (a - b).abs() <= within * a.abs() if a.is_floating_point() else a == b
        return bool((close | ((a != a) & (b != b)) | (a == b)).all())
    if dataclasses.is_dataclass(a) and not isinstance(a, Pairwise):
        fields = dataclasses.fields(a)
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name), within) for f in fields)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name], within) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y, within) for x, y in zip(a, b, strict=True))
    return a == b or (a != a and b != b)


def rich() -> Capture:
    """Everything a capture may hold."""
    generator = torch.Generator().manual_seed(3)
    seen = {name: seen_of(spec, generator) for name, spec in SPECS.items()}
    layers = [layer_of(one.matrix(), name, seen=one) for name, one in seen.items()]
    layers[0] = dataclasses.replace(
        layers[0],
        roles=[[{"name": "sink", "score": 0.9, "examples": [1, 2], "by": torch.arange(3)}] * 4] * 2,
        check=Check(None, 0, "dropout"),
    )
    rows = torch.tensor([0, 3, 4, 11])
    layers.append(
        layer_of(torch.rand(2, 4, 12, 7, generator=generator), "cross", "cross", rows=rows, query_stream="decoder")
    )
    layers.append(layer_of(torch.rand(2, 1, 1, 12, generator=generator), "pool", "pooling", query_stream=None))
    curve = [0.1, float("nan"), float("-inf")]
    told = {"method": "rollout", "scores": torch.rand(2, 12, generator=generator), "curve": curve, "n": None}
    return Capture(
        layers,
        {"text": [ODD_TOKENS, [f"t{i}" for i in range(12)]], "decoder": [["x"] * 12] * 2},
        {"text": (3, 4)},
        "títle",
        ["a note"],
        [told],
    )
