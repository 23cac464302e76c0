"""A name means what the literature means by it: who sees whom, and the numbers of the plain ones, in plain torch."""

import pytest
import torch
import torch.nn.functional as F

from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.laws.subject import random_params
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where

N = 160
DIMS = Dims(2, 6, 4)


def causal(i: int, j: int) -> bool:
    return j <= i


SEES = {
    "causal": causal,
    "alibi": causal,
    "gpt-2": causal,
    "llama": causal,
    "causal-linear": causal,
    "window": lambda i, j: abs(i - j) <= 32,
    "dilated": lambda i, j: abs(i - j) <= 32 and (i - j) % 2 == 0,
    "segments": lambda i, j: i // 64 == j // 64,
    "swin-v2": lambda i, j: i // 64 == j // 64,
    "prefix-lm": lambda i, j: j <= i or j < 64,
    "longformer": lambda i, j: abs(i - j) <= 32 or i == 0 or j == 0,
    "star-transformer": lambda i, j: abs(i - j) <= 1 or i == 0 or j == 0,
    "sparse-transformer": lambda i, j: j <= i and (i - j < 32 or (i - j) % 32 == 0),
    "sparse-transformer-fixed": lambda i, j: j <= i and (i // 32 == j // 32 or j % 32 >= 28),
    "image-local": lambda i, j: abs(i // 8 - j // 8) <= 1 and abs(i % 8 - j % 8) <= 1,
    "mistral": lambda i, j: 0 <= i - j < 64,
    "gemma-2": lambda i, j: 0 <= i - j < 64,
    "gpt-oss": lambda i, j: 0 <= i - j < 64,
}


def drawn(T: int, S: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(T + S)
    shapes = (2, 2, T, 6), (2, 2, S, 6), (2, 2, S, 4)
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return q, k, v


def mixed(name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    operator = named(name)
    return operator.mix(q, k, v, params=init_params(operator, DIMS, torch.Generator().manual_seed(0), torch.float64))


@pytest.mark.parametrize("name", SEES)
def test_each_token_sees_whom_it_should(name):
    operator = named(name)
    q, k, _ = drawn(N, N)
    params = random_params(operator, DIMS, torch.Generator().manual_seed(0))
    seen = (operator.matrix(q, k, Where.of(N, N), params) != 0).flatten(0, 1).any(0)
    expected = torch.tensor([[SEES[name](i, j) for j in range(N)] for i in range(N)])
    assert torch.equal(seen, expected)


def test_bigbird_sees_its_window_two_anchors_and_three_blocks_of_sixteen():
    q, k, _ = drawn(N, N)
    seen = named("bigbird").matrix(q, k)[0, 0] != 0
    for i in range(N):
        known = {j for j in range(N) if abs(i - j) <= 24 or i < 2 or j < 2}
        others = set(torch.where(seen[i])[0].tolist()) - known
        assert known <= set(torch.where(seen[i])[0].tolist())
        assert all({j // 16 * 16 + m for m in range(16)} - known <= others for j in others)
    assert not seen.all()


def test_the_adaptive_span_begins_unbounded_and_ends_after_sixteen_more():
    operator = named("adaptive-span")
    q, k, _ = drawn(N, N)
    start = init_params(operator, DIMS, dtype=torch.float64)
    assert (operator.matrix(q, k, None, start)[0, 0, -1] != 0).all()
    half = {name: torch.full_like(value, 0.5) for name, value in start.items()}
    assert (operator.matrix(q, k, None, half)[0, 0, -1] != 0).sum() == 32 + 16


def test_the_plain_ones_are_what_torch_computes():
    q, k, v = drawn(9, 9)
    scores = q @ k.mT
    zero = torch.zeros_like(scores[..., :1])
    lower = torch.ones(9, 9).tril().bool()
    expected = {
        "vaswani": F.scaled_dot_product_attention(q, k, v),
        "temperature": F.scaled_dot_product_attention(q, k, v),
        "luong-dot": F.scaled_dot_product_attention(q, k, v, scale=1.0),
        "causal": F.scaled_dot_product_attention(q, k, v, is_causal=True),
        "soft-cap": torch.softmax(50 * torch.tanh(scores / 6**0.5 / 50), -1) @ v,
        "sigmoid": torch.sigmoid(scores / 6**0.5 - torch.tensor(9.0).double().log()) @ v,
        "off-by-one": torch.softmax(torch.cat([scores / 6**0.5, zero], -1), -1)[..., :-1] @ v,
        "sink": torch.softmax(torch.cat([scores / 6**0.5, zero], -1), -1)[..., :-1] @ v,
        "cosine": torch.softmax(10 * F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT, -1) @ v,
        "euclidean": torch.softmax(-torch.cdist(q, k).square() / (2 * 6**0.5), -1) @ v,
        "linear": (F.elu(q) + 1) @ (F.elu(k) + 1).mT
        / ((F.elu(q) + 1) @ (F.elu(k) + 1).mT).sum(-1, keepdim=True) @ v,
        "prefix-lm": F.scaled_dot_product_attention(q, k, v),
        "gpt-2": F.scaled_dot_product_attention(q, k, v, attn_mask=lower),
    }  # fmt: skip
    for name, right in expected.items():
        if name == "gpt-2":  # its positions are learned, and small at first
            assert (mixed(name, q, k, v) - right).abs().max() < 0.2, name
        else:
            torch.testing.assert_close(mixed(name, q, k, v), right, msg=lambda said, name=name: f"{name}: {said}")


def test_top_k_keeps_eight():
    q, k, _ = drawn(5, 30)
    assert ((named("top-k").matrix(q, k) != 0).sum(-1) == 8).all()


def test_how_far_the_limits_reach():
    limits = {"luong-location": 512, "learned-position": 512, "linformer": 512, "gpt-2": 1024}
    for name, most in limits.items():
        for size in (most, most + 1):
            q, k, v = (x[:1, :, -1:] if x is not None else x for x in drawn(1, 1))
            k, v = k.expand(1, 2, size, 6), v.expand(1, 2, size, 4)
            if size == most:
                mixed(name, q, k, v)
            else:
                with pytest.raises(ValueError, match=str(most)):
                    mixed(name, q, k, v)


def test_every_line_is_built_of_the_parts_its_name_says():
    parts = {
        "bahdanau": "Additive(hidden=64)",
        "luong-general": "General()",
        "luong-location": "Location(max_keys=512)",
        "entmax-1.5": "Entmax(alpha=1.5)",
        "adaptive-entmax": "Entmax(alpha=None)",
        "sink": "Sink(logit=None)",
        "gpt-oss": "Sink(logit=None)",
        "t5": "RelativeBias(num_buckets=32, max_distance=128, bidirectional=True)",
        "shaw": "ClippedBias(max_distance=16)",
        "swin-v2": "ClippedBias(max_distance=16)",
        "rope": "Rotary(base=10000.0, interleaved=False)",
        "sinusoid": "Sinusoid(base=10000.0)",
        "documents": "Documents()",
        "evolving": "(Recurrent(), Convolution(queries=3, keys=3, causal=False))",
        "multi-token": "Convolution(queries=3, keys=3, causal=True)",
        "log-length": "Temperature(log_length=True)",
        "axial": "second=Pairwise(score=ScaledDot(scale=None), position=NoPosition(), pattern=Strided(stride=16",
        "linformer": "Linformer(rank=64, max_keys=512)",
        "nystrom": "Nystrom(landmarks=32, iterations=6)",
        "performer": "Performer(features=128, seed=0)",
        "hierarchical": "pattern=Segments(width_tokens=64",
        "hybrid": "Window(width_tokens=65",
        "mixture": "Window(width_tokens=65",
    }
    for name, part in parts.items():
        assert part in repr(CATALOGUE[name].operator), name
