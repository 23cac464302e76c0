"""A call of torch's own attention in our words."""

from torch import Tensor

from attnkit.capture.foreign import Call, operator_of
from attnkit.layers.model_operator import Wishes
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
    if mask is not None:
        mask = mask.detach()[(None,) * (4 - mask.dim())]
    call = Call(q_BHTD, k_BGSD, v_BGSE, out_BHTE, mask, causal, Wishes(scaling=scale))
    found = operator_of(call, own_text=q_BHTD.shape[2] == k_BGSD.shape[2])
    return Seen(name, found.spec, q_BHTD, k_BGSD, v_BGSE, found.where, found.params, None, out_BHTE)
