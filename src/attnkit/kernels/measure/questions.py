"""The questions that `attn kernels` asks of a machine, each with what was promised."""

import torch
from torch import Tensor

from attnkit.attention.normalizer import Entmax, Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.position import Alibi, RelativeBias
from attnkit.attention.score import Additive, Cosine, Euclidean, SoftCap
from attnkit.errors import UsageError
from attnkit.kernels.measure.question import Question
from attnkit.kernels.measure.side import Function, Shape, Side, ours, sdpa

PLAIN = Pairwise()
LONG = Shape(4096)
REAL = (0.2, 0.4, 0.5, 0.6, 0.6, 0.7, 0.8, 1.0)
ADDITIVE = Shape(2048, H=1)


def questions() -> list[Question]:
    """All of them."""
    return [*_plain(), *_reductions(), *_padding(), *_low_precision(), *_rows(), *_windows(), *_additive()]


def asked(words: tuple[str, ...], full: bool) -> list[Question]:
    """The questions whose name holds one of the words, all without words; where not `full`, one for each name and pass.

    Raises: UsageError where none holds one.
    """
    found = [one for one in questions() if not words or any(word.lower() in one.name.lower() for word in words)]
    if not found:
        names = sorted({one.name for one in questions()})
        raise UsageError(f"no question holds {' or '.join(map(repr, words))}; there are {', '.join(names)}")
    if full:
        return found
    return list({(one.name, one.gradients): one for one in reversed(found)}.values())[::-1]


def _plain() -> list[Question]:
    return [
        Question("plain attention", ours(PLAIN, Shape(T)), sdpa(Shape(T)), gradients, pure=1.03)
        for T in (512, 2048, 8192)
        for gradients in (False, True)
    ]


def _rows() -> list[Question]:
    other, causal = sdpa(LONG), sdpa(LONG, "causal SDPA", causal=True)
    narrow = Shape(4096, E=32)
    return [
        Question("dropout 0.1", ours(PLAIN, LONG, dropout=0.1), other, True, native=1.6, pure=2.3),
        Question("learned relative bias", ours(Pairwise(position=RelativeBias()), LONG), other, True, pure=1.6),
        Question("values of width 32", ours(PLAIN, narrow), other, True, pure=1.4),
        Question("causal ALiBi", ours(Pairwise(position=Alibi(), pattern=Causal()), LONG), causal, True, pure=1.3),
        Question("symmetric ALiBi", ours(Pairwise(position=Alibi()), LONG), other, True, pure=1.5),
        Question("soft cap", ours(Pairwise(SoftCap()), LONG), other, True, native=1.6, pure=1.9),
        Question("sparsemax", ours(Pairwise(normalizer=Sparsemax()), LONG), other, False, native=1.6, pure=4.0),
        Question("sparsemax", ours(Pairwise(normalizer=Sparsemax()), LONG), other, True, native=2.5),
        Question("entmax 1.5", ours(Pairwise(normalizer=Entmax(1.5)), LONG), other, False, native=1.6, pure=4.0),
        Question("entmax 1.5", ours(Pairwise(normalizer=Entmax(1.5)), LONG), other, True, native=2.5),
    ]


def _reductions() -> list[Question]:
    far = Shape(4096, offset=50.0)
    return [
        Question("Euclidean", ours(Pairwise(Euclidean()), LONG), sdpa(LONG), True, pure=1.3),
        Question("Euclidean, inputs off by 50", ours(Pairwise(Euclidean(width=8.0)), far), sdpa(far), True, pure=1.3),
        Question("cosine", ours(Pairwise(Cosine()), LONG), sdpa(LONG), True, pure=1.1),
    ]


def _windows() -> list[Question]:
    spec = Pairwise(pattern=Window(256, causal=True))
    asked = (
        (8192, False, 11.0, 8.0),
        (8192, True, 9.0, 6.5),
        (2048, False, None, 2.3),
        (16384, True, None, 11.0),
    )
    return [
        Question(
            "causal window of 256",
            ours(spec, Shape(T)),
            sdpa(Shape(T), "dense causal SDPA", causal=True),
            gradients,
            sooner=True,
            native=native,
            pure=pure,
        )
        for T, gradients, native, pure in asked
    ]


def _padding() -> list[Question]:
    shape = Shape(2048, B=8)
    masked = sdpa(shape, "SDPA with a mask", lengths=REAL)
    return [
        Question("40 % padding, lengths given", ours(PLAIN, shape, lengths=REAL), masked, gradients, True, pure=1.4)
        for gradients in (False, True)
    ]


def _low_precision() -> list[Question]:
    # With AMX the plan takes torch's own kernel, and nothing is to be won.
    promised = 0.97 if torch.cpu._is_amx_tile_supported() else 1.2
    return [
        Question("bfloat16", ours(PLAIN, shape), sdpa(shape, "SDPA bfloat16"), False, True, pure=promised)
        for shape in (Shape(512, dtype=torch.bfloat16), Shape(2048, dtype=torch.bfloat16))
    ]


def _additive() -> list[Question]:
    spec = Pairwise(Additive(hidden=64))
    return [
        Question("additive", ours(spec, ADDITIVE), chunked_tanh(ADDITIVE), False, True, pure=5.0),
        Question("additive", ours(spec, ADDITIVE), naive_additive(ADDITIVE), True, True, native=20.0),
    ]


def _hidden(q: Tensor, k: Tensor, params: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    queries = q @ params["score.w_q"] + params["score.b"][:, None]
    return queries, k @ params["score.w_k"], params["score.v"]


def naive_additive(shape: Shape) -> Side:
    """Bahdanau's score as it is usually written: one broadcast of T x S x hidden numbers."""

    def make(shape: Shape) -> Function:
        def call(q: Tensor, k: Tensor, v: Tensor, params: dict[str, Tensor]) -> Tensor:
            queries, keys, weight = _hidden(q, k, params)
            hidden = torch.tanh(queries[..., :, None, :] + keys[..., None, :, :])
            return torch.softmax((hidden * weight[:, None, None]).sum(-1), dim=-1) @ v

        return call

    return Side("the naive broadcast", shape, make, Pairwise(Additive(hidden=64)))


def chunked_tanh(shape: Shape, rows: int = 64) -> Side:
    """The same, some queries at a time."""

    def make(shape: Shape) -> Function:
        def call(q: Tensor, k: Tensor, v: Tensor, params: dict[str, Tensor]) -> Tensor:
            queries, keys, weight = _hidden(q, k, params)
            out = []
            for start in range(0, shape.T, rows):
                hidden = torch.tanh(queries[..., start : start + rows, None, :] + keys[..., None, :, :])
                out.append(torch.softmax((hidden @ weight[:, None, :, None]).squeeze(-1), dim=-1) @ v)
            return torch.cat(out, dim=2)

        return call

    return Side("a loop of tanh over chunks", shape, make, Pairwise(Additive(hidden=64)))
