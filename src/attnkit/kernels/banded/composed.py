"""The same pieces by operations that torch can differentiate as often as it likes, on any device."""

import torch
from torch import Tensor

from attnkit.kernels.banded.masks import NONE, Masks
from attnkit.kernels.banded.pieces import Piece
from attnkit.kernels.banded.views import keys, queries


def composed(
    q_BHTW: Tensor, k_BHSW: Tensor, v_BHSW: Tensor, pieces: tuple[Piece, ...], masks: Masks, scale: float
) -> Tensor:
    """out_BHTW = softmax(scale q k^T + mask) v.

    Cost: as the fused blocks; the scores of all pieces are kept for the gradient.
    """
    return torch.stack(
        [
            _item(q, k, v, b, pieces, masks, scale)
            for b, (q, k, v) in enumerate(zip(q_BHTW, k_BHSW, v_BHSW, strict=True))
        ]
    )


def _item(q: Tensor, k: Tensor, v: Tensor, item: int, pieces: tuple[Piece, ...], masks: Masks, scale: float) -> Tensor:
    # A query may be in two pieces; they are added up below the largest score that it has in either.
    top = torch.full((*q.shape[:2], 1), NONE, dtype=masks.dtype, device=q.device)
    scores = []
    for piece in pieces:
        found = ((queries(q, piece) * scale) @ keys(k, piece).transpose(-1, -2)).to(masks.dtype)
        mask = masks.of_item(item, piece, masks.of_pattern(piece))
        scores.append(found if mask is None else found + mask)
        with torch.no_grad():
            here = queries(top, piece)
            here.copy_(torch.maximum(here, scores[-1].amax(-1, keepdim=True)))
    top.masked_fill_(top == NONE, 0.0)
    mixed = torch.zeros(q.shape, dtype=masks.dtype, device=q.device)
    total = torch.zeros_like(top)
    for piece, found in zip(pieces, scores, strict=True):
        weights = torch.exp(found - queries(top, piece))
        queries(mixed, piece).add_(weights @ keys(v, piece).to(masks.dtype))
        queries(total, piece).add_(weights.sum(-1, keepdim=True))
    return (mixed / total.masked_fill(total == 0.0, 1.0)).to(q.dtype)
