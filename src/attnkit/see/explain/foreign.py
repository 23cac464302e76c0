"""A call of torch's own attention in our words."""

import torch
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params
from attnkit.attention.pattern import Causal
from attnkit.attention.score import ScaledDot
from attnkit.attention.where import Where
from attnkit.layers.model_mask import as_boolean, recognize
from attnkit.layers.model_operator import GivenBias
from attnkit.layers.taps import Seen


def as_seen(
    name: str,
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    v_BGSE: Tensor,
    mask: Tensor | None,
    causal: bool,
    scale: float | None,
    out_BHTE: Tensor,
) -> Seen:
    """F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale) as a call of one of our operators.

    A mask becomes a pattern and padding where one of ours says exactly that, else numbers added to the scores.
    """
    T, S = q_BHTD.shape[2], k_BGSD.shape[2]
    spec = Pairwise(score=ScaledDot(scale))
    where = Where.of(T, S, device=q_BHTD.device)
    params: Params = {}
    if causal:
        # torch counts from the top left.
        if T != S:
            queries, keys = (torch.arange(n, device=q_BHTD.device) for n in (T, S))
            where = Where.of(T, S, query_position=queries, key_position=keys)
        spec = Pairwise(score=ScaledDot(scale), pattern=Causal())
    elif mask is not None:
        whole = mask.detach()
        while whole.dim() < 4:
            whole = whole[None]
        whole = whole.expand(*whole.shape[:2], T, S)
        try:
            allowed = as_boolean(whole)
        except ValueError:
            found = None
        else:
            found = recognize(allowed, where)
        if found is not None:
            spec, where = Pairwise(score=ScaledDot(scale), pattern=found.pattern), found.where
        else:
            spec = Pairwise(score=ScaledDot(scale), position=GivenBias())
            origin = torch.tensor([S - T, 0], device=q_BHTD.device)
            params = {"position.bias": _added(whole, q_BHTD), "position.origin": origin}
    return Seen(name, spec, q_BHTD, k_BGSD, v_BGSE, where, params, None, out_BHTE)


def _added(mask: Tensor, q_BHTD: Tensor) -> Tensor:
    """What the mask adds to the scores, (B or 1, H, T, S)."""
    if mask.dtype == torch.bool:
        lowest = torch.finfo(q_BHTD.dtype).min / 2
        mask = q_BHTD.new_zeros(mask.shape).masked_fill(~mask, lowest)
    return mask.expand(mask.shape[0], q_BHTD.shape[1], -1, -1)
