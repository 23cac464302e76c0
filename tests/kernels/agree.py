"""How a kernel is held to the reference: forward and every gradient, in float64, and within the budget in float32."""

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where
from attnkit.kernels import attend


def draw(
    seed: int,
    T: int,
    S: int,
    *,
    B: int = 2,
    H: int = 4,
    G: int = 4,
    D: int = 8,
    E: int = 8,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v that want gradients."""
    generator = torch.Generator().manual_seed(seed)

    def one(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_()

    return one(B, H, T, D), one(B, G, S, D), one(B, G, S, E)


def shaken_params(spec: Attention, H: int, D: int, E: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The operator's parameters away from where they begin, so that no identity hides a mistake."""
    generator = torch.Generator().manual_seed(7)
    params = init_params(spec, Dims(H, D, E), generator, torch.float64)
    return {
        name: (value + 0.3 * torch.randn(value.shape, dtype=torch.float64, generator=generator))
        .to(dtype)
        .requires_grad_()
        for name, value in params.items()
    }


def holes(B: int, S: int, seed: int = 3) -> Tensor:
    """A keep (B, S) with holes, the last item all padding."""
    keep = torch.rand(B, S, generator=torch.Generator().manual_seed(seed)) > 0.4
    keep[-1] = False
    return keep


def results(
    spec: Attention, inputs: tuple[Tensor, Tensor, Tensor], params: dict[str, Tensor], kernel: str, where: Where | None
) -> list[Tensor]:
    """out and the gradients of q, k, v and each parameter, along a fixed direction."""
    q, _, v = inputs
    generator = torch.Generator().manual_seed(1)
    out = attend(*inputs, spec, where=where, params=params, kernel=kernel)
    direction = torch.randn(*q.shape[:3], v.shape[3], dtype=torch.float64, generator=generator).to(out.dtype)
    leaves = [x for x in (*inputs, *params.values()) if x.requires_grad]
    grads = torch.autograd.grad((out * direction).sum(), leaves, allow_unused=True)
    return [out, *(torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(grads, leaves, strict=True))]


def agrees(
    spec: Attention,
    kernel: str,
    T: int,
    S: int,
    *,
    keep: Tensor | None = None,
    query_keep: Tensor | None = None,
    where: Where | None = None,
    frozen: bool = False,
    H: int = 4,
    G: int = 4,
    D: int = 8,
    E: int = 8,
) -> None:
    """`kernel` gives the reference's numbers in float64.

    Raises: AssertionError where one number differs.
    """
    inputs = draw(0, T, S, H=H, G=G, D=D, E=E)
    params = shaken_params(spec, H, D, E)
    if frozen:
        params = {name: value.detach() for name, value in params.items()}
    if where is None and (keep is not None or query_keep is not None):
        where = Where.of(T, S, keep=keep, query_keep=query_keep)
    expected = results(spec, inputs, params, "reference", where)
    got = results(spec, inputs, params, kernel, where)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-11)
