"""Blocks: plain softmax attention in bfloat16, by matrix products of blocks that stay in a core's cache."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.position.base import Position
from attnkit.attention.score import Euclidean
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.rows.place import Space, product
from attnkit.kernels.sdpa import as_products, plain_softmax, results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.twice import twice

# Queries of a block: fewer under a causal pattern, where each block meets half its own length in vain.
ROWS, CAUSAL_ROWS = 512, 256
# Numbers in a block; short sequences have as many heads in one as fit.
BLOCK_NUMBERS = 1 << 19
# Every so manieth key takes part in the guess of a row's largest score.
STRIDE = 8
# Where it begins to pay, on one thread of a core with AVX512_BF16, beside torch's fused kernel in bfloat16; H = 8 and
# D = E = 64. Forward, at T = S = 64 0.8 times as fast, 128 1.4, 256 1.4, 512 1.8, 1024 1.9, 2048 2.1, 4096 2.2; causal
# 0.7, 1.1, 1.3, 1.5, 1.5, 1.7, 1.7. Both passes 1.6, 1.8, 1.2, 1.6, 1.5, 1.5, 1.6; causal 1.4, 1.7, 1.4, 1.6, 1.3, 1.4,
# 1.4. With D = 128 at 512 2.2 and 2.1, both passes 2.0; with D = 32 1.2 and 1.05, both passes 1.6 and 1.4. On a core
# with AMX torch's kernel is the sooner one: forward 1.9 times at 512, 2.1 at 2048.
LEAST_PAIRS, LEAST_NUMBERS = 1 << 13, 1 << 17


class Blocks(Kernel):
    """out = softmax(scale q k^T) v in bfloat16, full or causal; padded keys are left out, item by item.

    Scores are rounded to bfloat16 only after a guess of the row's largest one is taken off them, within the product: a
    softmax does not see the shift, and what is rounded is small where weights are large. The guess is the largest
    score with every eighth key. Sums are in float32 within a product.

    Source: Milakov and Gimelshein (2018), Online normalizer calculation for softmax, for why any shift will do.
    Cost: 1/8 more than the products of one forward pass; memory a block of weights.
    """

    name = "blocks"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The first thing that keeps it from being two products a block."""
        if situation.dtype != torch.bfloat16:
            return f"it is for bfloat16, and the tensors are {str(situation.dtype).removeprefix('torch.')}"
        reason = plain_softmax(spec)
        if reason:
            return reason
        assert isinstance(spec, Pairwise)
        if type(spec.score) is Euclidean:
            return "the Euclidean score is computed in float32"
        if type(spec.position).bias is not Position.bias:
            return f"the position {type(spec.position).__name__} adds a bias"
        if type(spec.pattern) is Causal:
            if not situation.aligned:
                return "positions were given, and its blocks end where the default ones do"
            if situation.keep:
                return "keys may be padding, which it leaves out only where every query meets every key"
        elif type(spec.pattern) is not Full:
            return f"the pattern {type(spec.pattern).__name__} is neither full nor causal"
        if situation.dropout:
            return "dropout falls on weights that are gone with their block"
        if situation.device != "cpu":
            return f"its blocks are cut for a core's cache, and the tensors are on {situation.device}"
        return "an exported graph cannot count blocks of a length not yet known" if situation.T is None else None

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """Tensors in bfloat16."""
        return situation.dtype == torch.bfloat16

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not on a core that has to widen bfloat16 first, nor for small maps, nor where threads wait for one another.

        Several threads meet at the end of every product, ten times a block: on cores of their own they are up to 2.6
        times as fast as with torch's kernel, on cores that others use too ten times as slow.
        """
        if not torch.cpu._is_avx512_bf16_supported():
            return "this processor has no products of bfloat16 (AVX512_BF16)"
        if torch.cpu._is_amx_tile_supported():
            return "torch's own kernel multiplies in this processor's tiles (AMX), and is about twice as soon"
        if situation.threads > 1:
            return f"{situation.threads} threads would wait for one another at every product; it is for one"
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        pairs = situation.T * situation.S
        numbers = situation.batch * situation.heads * pairs
        if pairs < LEAST_PAIRS or numbers < LEAST_NUMBERS:
            return f"the maps have {numbers} numbers only, {pairs} a head, and one call of torch's kernel is sooner"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """Two products forwards and five more backwards; a block of weights, and one of their gradients."""
        assert isinstance(spec, Pairwise)
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        T, S, causal = situation.T, situation.S, type(spec.pattern) is Causal
        pairs = situation.batch * situation.heads * T * S // (2 if causal and T == S else 1)
        width = max(situation.width, situation.value_width)
        rows = min(T, CAUSAL_ROWS if causal else ROWS)
        block = max(rows * S, min(BLOCK_NUMBERS, situation.batch * situation.heads * T * S))
        heads = situation.batch * situation.heads
        # The scaled queries, and sums of d_k and d_v in float32.
        held = (block + heads * T * width) * situation.itemsize
        if situation.needs_grad:
            held += block * situation.itemsize + 2 * heads * S * width * 4
        work = pairs * width * (7 if situation.needs_grad else 2) * (2 * STRIDE + 1) // (2 * STRIDE)
        return Cost(work, results_bytes(situation) + held)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        where, causal = call.where, type(spec.pattern) is Causal
        q, k, v, scale = as_products(spec, call)
        # Exact where the scale is a power of two, as it is for D = 16, 64 and 256.
        q = q * scale
        if where.keep is None:
            out: Tensor = _Blocked.apply(*(x.flatten(0, 1) for x in (q, k, v)), causal)
            out = out.view(q.shape)
        else:
            keeps = where.keep.expand(q.shape[0], -1)
            items = [
                _Blocked.apply(one_q, one_k[:, keep], one_v[:, keep], causal)
                for one_q, one_k, one_v, keep in zip(q, k, v, keeps, strict=True)
            ]
            out = torch.stack(items) if items else torch.zeros_like(q)
        if where.query_keep is not None:
            out = out.masked_fill(~where.query_keep[:, None, :, None], 0.0)
        return out[..., : call.v_BGSE.shape[-1]]


class _Blocked(torch.autograd.Function):
    """out_NTE = softmax(q_NTD k_NSD^T) v_NSE, N heads of any items; blocks are made again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
        out = torch.zeros_like(q, memory_format=torch.contiguous_format)
        with torch.autocast(q.device.type, enabled=False):
            space, hidden = Space(q.dtype, q.device), _hidden(q, causal)
            for heads, rows, keys in _blocks(q, k, causal):
                weights = _weights(q[heads, rows], k[heads, keys], hidden, space)
                product(weights, v[heads, keys], out[heads, rows])
        ctx.save_for_backward(q, k, v, out)
        ctx.causal = causal
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *twice(_whole(q, k, v, ctx.causal), (q, k, v), grad, ctx.needs_input_grad), None
        d_q = torch.zeros_like(q, memory_format=torch.contiguous_format)
        # Sums over blocks are kept in float32: a bfloat16 sum would be rounded once a block.
        d_k, d_v = (torch.zeros(x.shape, dtype=torch.float32, device=x.device) for x in (k, v))
        with torch.autocast(q.device.type, enabled=False):
            space, hidden = Space(q.dtype, q.device), _hidden(q, ctx.causal)
            for heads, rows, keys in _blocks(q, k, ctx.causal):
                some_grad, some_q = grad[heads, rows], q[heads, rows]
                weights = _weights(some_q, k[heads, keys], hidden, space)
                back = space.take("back", tuple(weights.shape))
                mean = (some_grad.float() * out[heads, rows].float()).sum(-1, keepdim=True).to(q.dtype)
                torch.baddbmm(mean, some_grad, v[heads, keys].mT, beta=-1, out=back)
                back.mul_(weights)
                product(back, k[heads, keys], d_q[heads, rows])
                d_k[heads, keys] += torch.bmm(back.mT, some_q)
                d_v[heads, keys] += torch.bmm(weights.mT, some_grad)
        return d_q, d_k.to(k.dtype), d_v.to(v.dtype), None


def _blocks(q_NTD: Tensor, k_NSD: Tensor, causal: bool) -> Iterator[tuple[slice, slice, slice]]:
    """Heads, queries and keys of every block; queries that meet no key are in none.

    The largest blocks come first, so that a workspace is made once.
    """
    N, T, S = q_NTD.shape[0], q_NTD.shape[1], k_NSD.shape[1]
    together = max(1, min(N, BLOCK_NUMBERS // max(1, T * S)))
    height = max(1, T) if together > 1 else CAUSAL_ROWS if causal else ROWS
    first = max(0, T - S) if causal else 0
    for head in range(0, N if S else 0, together):
        for start in reversed(range(first, T, height)):
            stop = min(start + height, T)
            yield slice(head, min(head + together, N)), slice(start, stop), slice(0, stop + S - T if causal else S)


def _hidden(q_NTD: Tensor, causal: bool) -> Tensor | None:
    """-inf above the diagonal, of as many queries as a block may have."""
    rows = max(CAUSAL_ROWS, min(q_NTD.shape[1], math.isqrt(BLOCK_NUMBERS)))
    return q_NTD.new_full((rows, rows), -math.inf).triu_(1) if causal else None


def _weights(q_NRD: Tensor, k_NSD: Tensor, hidden: Tensor | None, space: Space) -> Tensor:
    """The softmax of a block, in a workspace; with `hidden` the last query meets the last key, and it alone."""
    guess = torch.bmm(q_NRD, k_NSD[:, ::STRIDE].contiguous().mT).amax(-1, keepdim=True)
    heads, rows, keys = q_NRD.shape[0], q_NRD.shape[1], k_NSD.shape[1]
    x = torch.baddbmm(guess, q_NRD, k_NSD.mT, beta=-1, out=space.take("weights", (heads, rows, keys)))
    if hidden is not None:
        x[:, :, keys - rows :] += hidden[:rows, :rows]
    return torch.softmax(x, dim=-1, out=x)


def _whole(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """The same by operations that torch can differentiate twice, with the map kept whole."""
    scores = q @ k.mT
    T, S = scores.shape[-2:]
    if not S:
        return torch.zeros_like(q) + v.sum(1, keepdim=True)
    if causal:
        hidden = torch.ones(T, S, dtype=torch.bool, device=q.device).triu(S - T + 1)
        empty = hidden.all(-1, keepdim=True)
        scores = scores.masked_fill(hidden & ~empty, -math.inf)
        return torch.softmax(scores, dim=-1).masked_fill(empty, 0.0) @ v
    return torch.softmax(scores, dim=-1) @ v
