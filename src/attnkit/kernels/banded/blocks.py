"""Blocks fed to torch's fused kernel as overlapping views, with a backward pass of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnkit.kernels.banded.composed import composed
from attnkit.kernels.banded.masks import NONE, Masks
from attnkit.kernels.banded.pieces import Piece
from attnkit.kernels.banded.views import keys, queries, view
from attnkit.kernels.banded.window import Tiled
from attnkit.kernels.twice import twice

_FUSED = "_scaled_dot_product_flash_attention_for_cpu"
# Numbers of one call's results: small enough that the allocator gives the same memory again.
_NUMBERS_A_CALL = 1 << 20


def numbers_of_a_block(piece: Piece, heads: int, width: int, backward: bool) -> int:
    """Numbers that one block of the piece gives, forwards or backwards, for all heads."""
    return heads * width * (piece.rows + (2 * piece.columns if backward else 0))


def numbers_of_a_call(piece: Piece, heads: int, width: int, backward: bool) -> int:
    """Numbers that one call of the fused operator gives."""
    block = numbers_of_a_block(piece, heads, width, backward)
    return min(piece.count, max(1, _NUMBERS_A_CALL // block)) * block


@dataclass(frozen=True, eq=False)
class Cut:
    """An operator cut into pieces, as it is best forwards and as it is best backwards; `tiled` is done natively."""

    tiled: Tiled | None
    forward: tuple[Piece, ...]
    backward: tuple[Piece, ...]
    again: tuple[Piece, ...]
    masks: Masks
    scale: float


class Blocks(torch.autograd.Function):
    """out_BHTW = softmax(scale q k^T + mask) v piece by piece; recomputed backwards from the log sums.

    Where a query's keys are in two pieces, their results are weighed by their log sums; the gradients need no more than
    the log sum of all.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, cut: Cut) -> Tensor:
        B, H, T, W = q.shape
        sums = torch.promote_types(q.dtype, torch.float32)
        out = _results(q, cut, cut.forward)
        joined = any(piece.joins for piece in cut.forward)
        log_sum = torch.full((B, T, H, 1), NONE if joined else 0.0, dtype=sums, device=q.device).transpose(1, 2)
        if cut.tiled is not None:
            given = {"q": q, "k": k, "v": v, "out": out, "log_sum": log_sum}
            cut.tiled.forward(given, cut.masks, cut.scale)
        for b in range(B):
            for piece in cut.forward:
                mask = cut.masks.of_pattern(piece)
                for part, own in _calls(cut.masks, b, piece, mask, numbers_of_a_block(piece, H, W, False)):
                    _forward(part, own, cut.scale, (q[b], k[b], v[b]), out[b], log_sum[b], joined)
        if joined or cut.tiled is not None:
            # Back to the fused kernel's own sign of a row that sees nothing.
            log_sum.masked_fill_(log_sum == NONE, 0.0)
        ctx.save_for_backward(q, k, v, out, log_sum)
        ctx.cut = cut
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, log_sum = ctx.saved_tensors
        cut: Cut = ctx.cut
        if torch.is_grad_enabled():
            again = composed(q, k, v, cut.again, cut.masks, cut.scale)
            return *twice(again, (q, k, v), grad, ctx.needs_input_grad), None
        if grad.stride(-1) != 1 or grad.is_neg():
            grad = grad.resolve_neg().contiguous()
        d_q, d_k, d_v = _results(q, cut, cut.backward), torch.zeros_like(k), torch.zeros_like(v)
        B, H, _, W = q.shape
        if cut.tiled is not None:
            every = {"q": q, "k": k, "v": v, "out": out, "log_sum": log_sum}
            every |= {"grad": grad, "d_q": d_q, "d_k": d_k, "d_v": d_v}
            cut.tiled.backward(every, cut.masks, cut.scale)
        for b in range(B):
            given = q[b], k[b], v[b], out[b], grad[b], log_sum[b]
            for piece in cut.backward:
                mask = cut.masks.of_pattern(piece)
                for part, own in _calls(cut.masks, b, piece, mask, numbers_of_a_block(piece, H, W, True)):
                    _backward(part, own, cut.scale, given, (d_q[b], d_k[b], d_v[b]))
        return d_q, d_k, d_v, None


def _results(q_BHTW: Tensor, cut: Cut, pieces: tuple[Piece, ...]) -> Tensor:
    """Room for results of the shape of q, zeros unless all of it will be written to.

    Heads lie beside one another in memory, as torch's kernel and the layers around have them.
    """
    B, H, T, W = q_BHTW.shape
    written = sum(piece.count * piece.rows for piece in pieces if not piece.joins)
    whole = cut.masks.keep is None and written == T
    if cut.tiled is not None:
        whole = cut.tiled.local.anchors == 0
    make = q_BHTW.new_empty if whole else q_BHTW.new_zeros
    return make(B, T, H, W).transpose(1, 2)


def _calls(
    masks: Masks, item: int, piece: Piece, mask: Tensor | None, numbers: int
) -> Iterator[tuple[Piece, Tensor | None]]:
    """The piece in parts of a bearable size, each with its mask; parts without a real key are left out."""
    most = max(1, _NUMBERS_A_CALL // numbers)
    for first in range(0, piece.count, most):
        part = piece.part(first, min(most, piece.count - first))
        real = masks.real_keys(item, part)
        if real is None or bool(real.any()):
            yield part, masks.of_item(item, part, mask)


def _forward(
    piece: Piece,
    mask: Tensor | None,
    scale: float,
    given: tuple[Tensor, Tensor, Tensor],
    out: Tensor,
    log_sum: Tensor,
    joined: bool,
) -> None:
    q, k, v = given
    fused = getattr(torch.ops.aten, _FUSED)
    result, sums = fused(queries(q, piece), keys(k, piece), keys(v, piece), 0.0, False, attn_mask=mask, scale=scale)
    sums = sums[..., None]
    old, old_sums = queries(out, piece), queries(log_sum, piece)
    if joined and mask is not None:
        # The fused kernel gives a row that sees nothing the log sum 0, which would count for one score of 0.
        sums = sums.masked_fill(mask.amax(-1, keepdim=True) == NONE, NONE)
    if piece.joins:
        both = torch.logaddexp(old_sums, sums)
        share = (sums - both).exp_().nan_to_num_(0.0)
        result = torch.lerp(old.to(sums.dtype), result.to(sums.dtype), share)
        sums = both
    old.copy_(result)
    old_sums.copy_(sums)


def _backward(
    piece: Piece, mask: Tensor | None, scale: float, given: tuple[Tensor, ...], gradients: tuple[Tensor, ...]
) -> None:
    q, k, v, out, grad, log_sum = given
    d_q, d_k, d_v = gradients
    fused = getattr(torch.ops.aten, _FUSED + "_backward")
    some_q, some_out, some_grad, some_sums = (queries(x, piece) for x in (q, out, grad, log_sum))
    of_q, of_k, of_v = fused(
        some_grad,
        some_q,
        keys(k, piece),
        keys(v, piece),
        some_out,
        some_sums[..., 0],
        0.0,
        False,
        attn_mask=mask,
        scale=scale,
    )
    if piece.joins:
        queries(d_q, piece).add_(of_q)
    else:
        queries(d_q, piece).copy_(of_q)
    # Blocks overlap in their keys; stretches of one step do not.
    step = piece.columns if piece.count == 1 else piece.step // piece.stride
    for start in range(0, piece.columns, step):
        size = min(step, piece.columns - start)
        for total, more in ((d_k, of_k), (d_v, of_v)):
            view(total, piece.key + start * piece.stride, size, piece).add_(more[:, :, start : start + size])
