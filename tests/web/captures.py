"""Captures made by hand: of any size at random, and a small one of real sentences with heads of known kinds."""

import torch
from torch import Tensor

from attnkit.capture.captured import Capture, CapturedLayer, Check, Edges, Pooled
from attnkit.capture.statistics import STATISTICS

SYLLABLES = ["ka", "lo", "mi", "ten", "ru", "sa", "ver", "no", "ti", "po", "lan", "de", "gra", "el", "is", "um"]


def random_capture(
    layers: int = 12, heads: int = 12, T: int = 4096, *, batch: int = 1, blocks: int = 64, edges: int = 8, seed: int = 0
) -> Capture:
    """Noise in the form of a decoder's attention: sinks, neighbours and scattered keys, as hard to deflate as any."""
    generator = torch.Generator().manual_seed(seed)
    made = [_random_layer(f"layers.{n}.attention", heads, T, batch, blocks, edges, generator) for n in range(layers)]
    texts = [_random_tokens(T, generator) for _ in range(batch)]
    return Capture(layers=made, streams={"text": texts}, title=f"{layers} x {heads} heads of noise")


def _random_layer(
    name: str, heads: int, T: int, batch: int, blocks: int, edges: int, generator: torch.Generator
) -> CapturedLayer:
    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    key = (draw(batch, heads, T, edges).sqrt() * torch.arange(1, T + 1)[:, None]).long().clamp(max=T - 1)
    key[..., 0] = torch.where(draw(batch, heads, T) < 0.3, 0, key[..., 0])
    weight = (draw(batch, heads, T, edges) ** 4 / edges).sort(-1, descending=True).values
    tokens = -(-T // blocks)
    sides = -(-T // tokens)
    mass = (draw(batch, heads, sides, sides) ** 6 + 1e-4).tril()
    statistics = {}
    for one in STATISTICS.values():
        level = draw(1, heads, 1) * {"nats": 5, "tokens": 300, "keys": 100}.get(one.unit, 1)
        statistics[one.name] = level * (0.5 + draw(batch, heads, T))
    return CapturedLayer(
        name=name,
        kind="self",
        operator="scaled dot, causal, softmax",
        batch=batch,
        heads=heads,
        T=T,
        S=T,
        statistics=statistics,
        undefined={},
        check=Check(error=3.1e-7 * float(draw(1)), rows=64),
        pooled=Pooled(mass / mass.sum(-1, keepdim=True), tokens, tokens),
        edges=Edges(weight, key),
    )


def _random_tokens(T: int, generator: torch.Generator) -> list[str]:
    draws = torch.randint(len(SYLLABLES), (T, 2), generator=generator).tolist()
    starts = torch.rand(T, generator=generator).tolist()
    return [
        ("\u2581" if start < 0.6 else "") + "".join(SYLLABLES[n] for n in pair[: 1 + (start < 0.5)])
        for pair, start in zip(draws, starts, strict=True)
    ]


def capture_of_maps(
    tokens: list[str],
    maps_LHTS: Tensor,
    *,
    title: str = "",
    roles: list[list[list[dict[str, object]]]] | None = None,
    edges: int = 8,
    blocks: int = 64,
    **fields: object,
) -> Capture:
    """A capture of one text whose maps are given, (layers, heads, T, S); only few statistics are counted."""
    count, heads, T, S = maps_LHTS.shape
    per_query, per_key = -(-T // blocks), -(-S // blocks)
    place = torch.arange(S) - torch.arange(T)[:, None]
    made = []
    for n in range(count):
        A = maps_LHTS[n][None].double()
        total = A.sum(-1)
        p = A / total[..., None].clamp(min=1e-12)
        entropy = -(p * p.clamp(min=1e-30).log()).sum(-1)
        statistics = {
            "entropy": entropy,
            "span": entropy.exp(),
            "distance": (p * place.abs()).sum(-1),
            "signed_distance": (p * place).sum(-1),
            "sink": A[..., 0],
            "diagonal": torch.diagonal(A, dim1=-2, dim2=-1) if T == S else total * 0,
            "largest_weight": A.amax(-1),
            "received": A.sum(-2),
        }
        pad_t, pad_s = -T % per_query, -S % per_key
        padded = torch.nn.functional.pad(A, (0, pad_s, 0, pad_t))
        summed = padded.unflatten(-1, (-1, per_key)).sum(-1).unflatten(-2, (-1, per_query)).sum(-2)
        rows = torch.full((summed.shape[-2],), float(per_query), dtype=torch.float64)
        rows[-1] = per_query - pad_t
        weight, key = A.topk(min(edges, S), -1)
        made.append(
            CapturedLayer(
                name=f"layer {n}",
                kind="self",
                operator="softmax of scaled dot",
                batch=1,
                heads=heads,
                T=T,
                S=S,
                statistics={name: values.float() for name, values in statistics.items()},
                undefined={"value_norm": "no values were captured"},
                check=Check(error=2.4e-7, rows=T),
                pooled=Pooled((summed / rows[:, None]).float(), per_query, per_key),
                edges=Edges(weight.float(), torch.where(weight > 0, key, -1)),
                roles=roles[n] if roles else None,
            )
        )
    return Capture(layers=made, streams={"text": [tokens]}, title=title, **fields)  # type: ignore[arg-type]
