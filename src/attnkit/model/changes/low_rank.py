"""Low rank: linear maps as products of two narrow ones."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from attnkit.model.changes.calibrated import Calibrated, Feed, second_moments
from attnkit.model.changes.places import linear_map, put

_DAMPING = 1e-6


@dataclass(frozen=True)
class LowRank(Calibrated):
    """Put W ~ U V of rank r in the place of the linear maps at `modules`, U (O, r) and V (r, I), r from `ranks`.

    Of all matrices of that rank it is the one nearest to W; with `texts` above 0 the one whose answers are nearest to
    those of W on the inputs that so many training texts make: the least |W X - U V X|.

    Raises: ValueError where no linear map stands at a name, or a rank is not below both sides.
    Source: Eckart and Young 1936; with inputs, Wang et al. 2024 (SVD-LLM), section 3.1.
    """

    kind: ClassVar[str] = "low_rank"
    stage: ClassVar[int] = 1

    modules: tuple[str, ...]
    ranks: tuple[int, ...]
    texts: int = 0

    def __post_init__(self) -> None:
        if not self.modules or len(self.modules) != len(self.ranks):
            raise ValueError(
                f"low_rank.ranks holds a rank for each of low_rank.modules; got {len(self.modules)} modules and "
                f"{len(self.ranks)} ranks"
            )
        if len(set(self.modules)) < len(self.modules):
            raise ValueError("low_rank.modules names a module twice; name each once")
        if min(self.ranks) < 1 or self.texts < 0:
            raise ValueError(f"low_rank needs ranks of at least 1 and texts of at least 0; got {self.to_plain()}")

    def apply(self, network: nn.Module) -> None:
        """Factor the weights by themselves."""
        self._make(network, {})

    def apply_over(self, network: nn.Module, feed: Feed) -> None:
        """Factor the weights by what they are multiplied with."""
        if not self.texts:
            return self.apply(network)
        modules: dict[str, nn.Module] = {name: linear_map(network, name) for name in self.modules}
        self._make(network, second_moments(modules, lambda: feed(network, self.texts)))
        return None

    def _make(self, network: nn.Module, inputs: dict[str, Tensor]) -> None:
        for name, rank in zip(self.modules, self.ranks, strict=True):
            linear = linear_map(network, name)
            if rank >= min(linear.weight.shape):
                outputs, width = linear.weight.shape
                raise ValueError(f"{name} is {outputs} x {width}, and a rank of {rank} takes nothing from it")
            up_OR, down_RI = factors(linear.weight.detach(), rank, inputs.get(name))
            first = nn.Linear(linear.in_features, rank, bias=False, device="meta")
            last = nn.Linear(rank, linear.out_features, bias=linear.bias is not None, device="meta")
            learns = linear.weight.requires_grad
            first.weight, last.weight = nn.Parameter(down_RI, learns), nn.Parameter(up_OR, learns)
            last.bias = linear.bias
            put(network, name, nn.Sequential(first, last))


def factors(weight_OI: Tensor, rank: int, second_II: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(U (O, r), V (r, I)) with the least |(W - U V) S|, S S^T = `second_II`, or without it the least |W - U V|.

    Both are of one norm, so that they learn alike.
    """
    rows, columns = weight_OI.shape
    if weight_OI.is_meta:
        return weight_OI.new_empty(rows, rank), weight_OI.new_empty(rank, columns)
    wide_OI = weight_OI.double()
    # The best product of that rank is W, projected on what its answers mostly lie in.
    up_OR = _directions(_seen(wide_OI, second_II), rank)
    down_RI = up_OR.T @ wide_OI
    balance = (down_RI.norm() / up_OR.norm()).clamp(min=1e-12).sqrt()
    up_OR, down_RI = up_OR * balance, down_RI / balance
    # Eigenvectors come column by column, and files want rows.
    return up_OR.to(weight_OI.dtype).contiguous(), down_RI.to(weight_OI.dtype).contiguous()


def _seen(wide_OI: Tensor, second_II: Tensor | None) -> Tensor:
    """W S with S S^T = `second_II`, up to a factor: W as its inputs see it."""
    if second_II is None:
        return wide_OI
    mean = second_II.diagonal().mean().clamp(min=_DAMPING)
    damped_II = second_II / mean + _DAMPING * torch.eye(len(second_II)).to(second_II)
    return wide_OI @ torch.linalg.cholesky(damped_II)


def _directions(seen_OI: Tensor, rank: int) -> Tensor:
    """The left singular vectors of the `rank` largest singular values, by the smaller of both products with itself."""
    if seen_OI.shape[0] <= seen_OI.shape[1]:
        return torch.linalg.eigh(seen_OI @ seen_OI.T).eigenvectors[:, -rank:]
    right_IR = torch.linalg.eigh(seen_OI.T @ seen_OI).eigenvectors[:, -rank:]
    return torch.linalg.qr(seen_OI @ right_IR).Q


def rank_for(weight_OI: Tensor, energy: float, second_II: Tensor | None = None) -> int | None:
    """The least rank that keeps this share of the squared singular values; None where it would make nothing smaller."""
    squares = torch.linalg.svdvals(_seen(weight_OI.double(), second_II)).square()
    reached = squares.cumsum(0) / squares.sum().clamp(min=1e-30)
    rank = int((reached < energy - 1e-12).sum()) + 1
    rows, columns = weight_OI.shape
    return rank if rank * (rows + columns) < rows * columns else None
