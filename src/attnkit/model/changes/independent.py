"""Whether each head of an operator goes its own way, so that one can go without the others noticing."""

import torch

from attnkit.attention.base import Attention
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where
from attnkit.model.changes.slices import values_of_heads

_TOKENS, _CLOSE = 7, 1e-9


def check_independent(spec: Attention, dims: Dims, heads: list[int]) -> None:
    """Hold `spec` to giving `heads` the same when the others are gone, by its parameters and by trying it.

    Raises: ValueError with the reason where it does not.
    """
    if spec.needs_state:
        raise ValueError("each of its layers reads the heads of the layer below by their numbers")
    if not heads:
        return
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")

    with torch.device("cpu"), torch.no_grad():
        # Away from the first values of its parameters, at which a refinement does nothing.
        params = {
            name: value + 0.3 * drawn(*value.shape)
            for name, value in init_params(spec, dims, generator, torch.float64).items()
        }
        few = values_of_heads(params, spec, dims, heads)
        q, k = (drawn(1, dims.heads, _TOKENS, dims.width) for _ in range(2))
        v = drawn(1, dims.heads, _TOKENS, dims.value_width)
        document = torch.zeros(1, _TOKENS, dtype=torch.long)
        where = Where.of(_TOKENS, _TOKENS, query_document=document, key_document=document)
        whole = spec.mix(q, k, v, where, params)[:, heads]
        alone = spec.mix(q[:, heads], k[:, heads], v[:, heads], where, few)
    if not torch.allclose(whole, alone, rtol=0, atol=_CLOSE):
        raise ValueError("what one of its heads gives hangs on how many there are")
