"""Side: one of the two computations of a question, with inputs of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where
from attnkit.kernels.attend import attend

Function = Callable[[Tensor, Tensor, Tensor, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Shape:
    """Sizes of q_BHTD, k_BHSD and v_BHSE, and their type."""

    T: int
    S: int | None = None
    B: int = 1
    H: int = 8
    D: int = 64
    E: int = 64
    dtype: torch.dtype = torch.float32
    offset: float = 0.0

    def at_most(self, tokens: int) -> "Shape":
        """The same with no more than so many queries and keys."""
        return replace(self, T=min(self.T, tokens), S=None if self.S is None else min(self.S, tokens))

    def __str__(self) -> str:
        sizes = f"B={self.B} H={self.H} T={self.T}" + (f" S={self.S}" if self.S else "")
        return f"{sizes} D={self.D}" + (f" E={self.E}" if self.E != self.D else "")


@dataclass(frozen=True)
class Side:
    """A computation: `make(shape)` gives a function of q, k, v and the operator's parameters."""

    label: str
    shape: Shape
    make: Callable[[Shape], Function]
    spec: Attention | None = None
    dropout: float = 0.0
    lengths: tuple[float, ...] = ()
    computed_in: torch.dtype | None = None

    def at_most(self, tokens: int) -> "Side":
        """The same on fewer tokens."""
        return replace(self, shape=self.shape.at_most(tokens))

    def inputs(self, seed: int = 0) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """q, k and v; parameters; and a direction for the gradient. All want gradients but the last.

        They are rounded to the shape's type, and then handed over in `computed_in`, where that is another.
        """
        generator = torch.Generator().manual_seed(seed)
        shape, S = self.shape, self.shape.S or self.shape.T

        def draw(*sizes: int) -> Tensor:
            return torch.randn(*sizes, generator=generator).to(shape.dtype)

        sizes = ((shape.T, shape.D), (S, shape.D), (S, shape.E))
        leaves = [draw(shape.B, shape.H, *size) for size in sizes]
        leaves = [x + shape.offset if index < 2 else x for index, x in enumerate(leaves)]
        params = {}
        if self.spec is not None:
            params = init_params(self.spec, Dims(shape.H, shape.D, shape.E), generator, shape.dtype)
        direction = draw(shape.B, shape.H, shape.T, shape.E)
        dtype = self.computed_in or shape.dtype
        wanting = {name: value.to(dtype).requires_grad_() for name, value in params.items()}
        return [x.to(dtype).requires_grad_() for x in leaves], wanting, direction.to(dtype)

    def task(self, gradients: bool) -> Callable[[], list[Tensor]]:
        """The computation on its inputs: out, and the gradients of q, k, v and the parameters where asked for."""
        leaves, params, direction = self.inputs()
        function = self.make(self.shape)

        def forward() -> list[Tensor]:
            with torch.no_grad():
                return [function(leaves[0], leaves[1], leaves[2], params)]

        def both() -> list[Tensor]:
            out = function(leaves[0], leaves[1], leaves[2], params)
            found = torch.autograd.grad(out, [*leaves, *params.values()], direction, allow_unused=True)
            return [out.detach(), *(x for x in found if x is not None)]

        return both if gradients else forward


def ours(
    spec: Attention,
    shape: Shape,
    label: str = "attend",
    *,
    dropout: float = 0.0,
    lengths: tuple[float, ...] = (),
    documents: int = 0,
    kernel: str = "auto",
) -> Side:
    """`attend` with an operator; `lengths` are shares of S that are real, an item each, `documents` texts a row."""

    def make(shape: Shape) -> Function:
        where = _real(shape, lengths)
        if documents:
            ids = torch.arange(shape.T) * documents // shape.T
            where = Where.of(shape.T, shape.T, query_document=ids, key_document=ids)

        def call(q: Tensor, k: Tensor, v: Tensor, params: dict[str, Tensor]) -> Tensor:
            generator = torch.Generator().manual_seed(5) if dropout else None
            return attend(
                q, k, v, spec, where=where, params=params, dropout=dropout, generator=generator, kernel=kernel
            )

        return call

    return Side(label, shape, make, spec, dropout, lengths)


def sdpa(shape: Shape, label: str = "SDPA", *, causal: bool = False, lengths: tuple[float, ...] = ()) -> Side:
    """torch's own fused attention, plain, causal, or with a mask of the real keys."""

    def make(shape: Shape) -> Function:
        where = _real(shape, lengths)
        mask = None if where is None or where.keep is None else where.keep[:, None, None, :]

        def call(q: Tensor, k: Tensor, v: Tensor, params: dict[str, Tensor]) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal, attn_mask=mask)

        return call

    return Side(label, shape, make)


def _real(shape: Shape, shares: tuple[float, ...]) -> Where | None:
    if not shares:
        return None
    S = shape.S or shape.T
    return Where.of(shape.T, S, lengths=torch.tensor([max(1, round(S * share)) for share in shares]))
