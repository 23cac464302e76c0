"""Banded: softmax attention on local patterns, at the cost of the pairs that meet."""

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.position.base import DistanceBias
from attnkit.attention.score import Euclidean
from attnkit.kernels.banded.blocks import Blocks, Cut, numbers_of_a_block, numbers_of_a_call
from attnkit.kernels.banded.composed import composed
from attnkit.kernels.banded.local import local
from attnkit.kernels.banded.masks import Masks
from attnkit.kernels.banded.pieces import Piece, anchor_pieces, pieces
from attnkit.kernels.banded.window import Tiled, tiled
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.lowered import lowered
from attnkit.kernels.native import plain
from attnkit.kernels.partition import partition
from attnkit.kernels.sdpa import as_products, plain_softmax, prepared_bytes, results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.slabs import needs_fused_operator
from attnkit.kernels.toeplitz import bias_told_by_distance

# What a key of a block costs beside its scores, in pairs: adding up its gradients, and packing it in low precision.
_BACKWARD_OVERHEAD, _PACKING_OVERHEAD = 60, 64
# What one call of the fused operator costs, and one of the native loop, in pairs of one head.
_PAIRS_A_CALL, _PAIRS_A_LOOP = 1 << 14, 1 << 13
# How many pairs the native loop does while the fused operator does one.
_NATIVE_GAIN = 2


class Banded(Kernel):
    """Windows, dilated windows, segments, neighbours on a grid and global tokens, as strided blocks.

    Blocks of queries stand beside the keys they can reach, as overlapping views without a copy; torch's fused kernel
    takes many at once with one mask, which holds a bias of distance too. The blocks cut short by an end of the sequence
    come one by one. What global tokens add to a query is joined by its log sum. Where torch's operator is missing the
    same blocks are composed of matrix products. A band that distance alone decides is done by a native loop in exact
    tiles where there is one, half precision in float32.

    Source: Beltagy et al. (2020), Longformer, section 3.2 and appendix A, for chunks; Dao et al. (2022) for log sums.
    Cost: T x (reach + block) pairs; memory linear in T.
    """

    name = "banded"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The first thing that is not one softmax on a local pattern at the default positions."""
        reason = plain_softmax(spec)
        if reason:
            return reason
        assert isinstance(spec, Pairwise)
        if local(spec.pattern) is None:
            return f"the pattern {type(spec.pattern).__name__} is not a band that repeats along the sequence"
        if not situation.aligned:
            return "the positions are not the default ones"
        reason = bias_told_by_distance(spec, situation)
        if reason:
            return reason
        if situation.dropout:
            return "dropout falls on weights that the fused kernel does not show"
        if situation.intent == "export":
            return "an exported graph has no blocks of a length that is not known yet"
        return None

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """Patterns that are local, as far as they can be seen to be."""
        return isinstance(spec, Pairwise) and local(spec.pattern) is not None

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not where slabs of queries, or the whole map, hold no more pairs than the blocks, counting calls."""
        assert isinstance(spec, Pairwise)
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        T, S, heads = situation.T, situation.S, situation.batch * situation.heads
        native, cut = _parts(spec, T, S, _width(spec, situation), situation.dtype, situation.device)
        # The fused operator takes slabs of all items at once, blocks item by item.
        calls = situation.batch * _PAIRS_A_CALL
        # Slabs are high enough for the fused operator's larger tiles: a third more pairs in the same time.
        banded = sum(heads * piece.pairs * 4 // 3 + calls for piece in cut[situation.needs_grad])
        if native is not None:
            banded += heads * native.pairs(T, S) // _NATIVE_GAIN + native.local.dilation * _PAIRS_A_LOOP
        slabs = sum(heads * slab.pairs + _PAIRS_A_CALL for slab in partition(spec.pattern, T, S, True))
        least = min(heads * T * S, slabs)
        if banded > least:
            return f"its blocks cost {banded / max(least, 1):.2g} times as much as slabs of queries, at this length"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """The pairs of all blocks; beside the results what a few blocks hold."""
        assert isinstance(spec, Pairwise)
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        heads, width, T, S = situation.heads, _width(spec, situation), situation.T, situation.S
        native, cut = _parts(spec, T, S, width, situation.dtype, situation.device)
        exact = native.pairs(T, S) if native is not None else 0
        pairs = 2 * (sum(piece.pairs for piece in cut[0]) + exact)
        if situation.needs_grad:
            pairs += 5 * (sum(piece.pairs for piece in cut[1]) + exact)
        mask_heads = heads if isinstance(spec.position, DistanceBias) else 1
        passing = 0
        for backward in (False, True)[: 1 + situation.needs_grad]:
            for piece in cut[backward]:
                numbers = numbers_of_a_call(piece, heads, width, backward)
                blocks = numbers // numbers_of_a_block(piece, heads, width, backward) if situation.keep else 1
                mask = mask_heads * blocks * piece.rows * piece.columns * max(situation.itemsize, 4)
                passing = max(passing, numbers * situation.itemsize + mask)
        if native is not None and situation.itemsize < 4:
            # Queries, keys, values and the result, and their gradients, in float32.
            lanes = 2 if situation.needs_grad else 1
            passing += situation.batch * heads * 2 * (T + S) * width * 4 * lanes
        results = results_bytes(situation) + prepared_bytes(spec, situation)
        return Cost(situation.batch * heads * pairs * width, results + passing)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        call = lowered(call)
        q, k, v, scale = as_products(spec, call)
        where, T, S, device = call.where, q.shape[2], k.shape[2], q.device.type
        native, cut = _parts(spec, T, S, q.shape[3], q.dtype, device)
        if native is not None and q.dtype != torch.float32:
            q, k, v = q.float(), k.float(), v.float()
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        if native is not None and not all(plain(x.detach()) for x in (q, k, v)):
            native, cut = None, _blocks(spec, T, S, q.dtype)
        bias = spec.position if isinstance(spec.position, DistanceBias) else None
        own = {name: value.detach() for name, value in scoped(call.params, "position").items()}
        sums = torch.promote_types(q.dtype, torch.float32)
        masks = Masks(S - T, q.shape[1], sums, q.device, where.keep, bias, own)
        whole = _blocks(spec, T, S, q.dtype)[1]
        if needs_fused_operator(Situation.of(q, k, v, where)):
            out: Tensor = composed(q, k, v, whole, masks, scale)
        else:
            out = Blocks.apply(q, k, v, Cut(native, *cut, whole, masks, scale))
        if where.query_keep is not None:
            out = out.masked_fill(~where.query_keep[:, None, :, None], 0.0)
        return out[..., : call.v_BGSE.shape[-1]].to(call.v_BGSE.dtype)


_Pieces = tuple[tuple[Piece, ...], tuple[Piece, ...]]


def _parts(
    spec: Attention, T: int, S: int, width: int, dtype: torch.dtype, device: str
) -> tuple[Tiled | None, _Pieces]:
    """The band as the native loop does it, and the pieces left for the fused operator, forwards and backwards."""
    assert isinstance(spec, Pairwise)
    found = local(spec.pattern)
    assert found is not None
    native = tiled(found, width, dtype, device)
    if native is None:
        return None, _blocks(spec, T, S, dtype)
    rest = anchor_pieces(found, T, S)
    return native, (rest, rest)


def _blocks(spec: Pairwise, T: int, S: int, dtype: torch.dtype) -> _Pieces:
    """All pieces for the fused operator, forwards and backwards."""
    found = local(spec.pattern)
    assert found is not None
    packing = _PACKING_OVERHEAD if dtype in (torch.bfloat16, torch.float16) else 0
    return pieces(found, T, S, packing), pieces(found, T, S, packing + _BACKWARD_OVERHEAD)


def _width(spec: Attention, situation: Situation) -> int:
    """The one width that queries, keys and values will have."""
    assert isinstance(spec, Pairwise)
    return max(situation.width + (type(spec.score) is Euclidean), situation.value_width)
