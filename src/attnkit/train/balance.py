"""How the losses of several tasks become one: by rows, by learned variances, or by a direction that helps all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor, nn

from attnkit.errors import UsageError
from attnkit.task.several import Combine

# What is attached to a model under this name is learned with it and left out of its finished weights.
NAME = "balance"


@dataclass(frozen=True)
class ByRows:
    """L = sum over tasks k of w_k n_k / n L_k, with w_k proportional to N_k^(1 / temperature - 1).

    N_k are the training rows of k, n_k those in the batch. The w_k are those under which a task weighs, over an epoch,
    as if its rows were drawn with a chance proportional to N_k^(1 / temperature); with temperature 1 all are 1.

    Source: Devlin (2019), multilingual BERT, exponential smoothing of the sizes, here as weights.
    """

    sizes: tuple[int, ...]
    temperature: float = 1.0

    def __call__(self, losses: dict[int, Tensor], rows: dict[int, int]) -> Tensor:
        """The loss of a batch, a scalar."""
        raised = [size ** (1 / self.temperature) for size in self.sizes]
        weights = [sum(self.sizes) * part / sum(raised) / size for part, size in zip(raised, self.sizes, strict=True)]
        total = sum(rows.values())
        return torch.stack([weights[k] * (rows[k] / total) * loss for k, loss in losses.items()]).sum()


class Uncertainty(nn.Module):
    """L = sum over tasks k of h_k exp(-s_k) L_k + s_k / 2, with h_k 1/2 for scores, else 1, s_k learned.

    Source: Kendall et al. (2018), equation 10.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__()
        self.log_variance_K = nn.Parameter(torch.zeros(len(kinds)))
        self.halves = [0.5 if kind == "score" else 1.0 for kind in kinds]

    def forward(self, losses: dict[int, Tensor], rows: dict[int, int]) -> Tensor:
        """The loss of a batch, a scalar."""
        s_K = self.log_variance_K
        return torch.stack([self.halves[k] * (-s_K[k]).exp() * loss + s_K[k] / 2 for k, loss in losses.items()]).sum()


class UpGrad:
    """L = sum over tasks k of a_k L_k, with a_k, held fixed, such that a step along -dL raises none of them.

    The gradients g_k of all weights give G = (g_j . g_k), from which torchjd finds a: each g_k is projected onto the
    cone of directions that conflict with no other, and the mean of these is sum over k of a_k g_k. It takes a backward
    pass for each task beside the usual one, and memory for a gradient each.

    Raises: UsageError where torchjd is not installed.
    Source: Quinton and Rey (2024), Jacobian descent for multi-objective optimization, section 3.1.
    """

    def __init__(self, model: nn.Module) -> None:
        self.weighting, self.model = _weighting(), model

    def __call__(self, losses: dict[int, Tensor], rows: dict[int, int]) -> Tensor:
        """The loss of a batch, a scalar."""
        if len(losses) == 1:
            return next(iter(losses.values()))
        moved = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        jacobian_KP = torch.stack([_gradient(loss, moved) for loss in losses.values()]).double().cpu()
        weights_K = self.weighting(jacobian_KP @ jacobian_KP.T).float()
        return torch.stack([weight * loss for weight, loss in zip(weights_K, losses.values(), strict=True)]).sum()


def _weighting() -> Any:
    """torchjd's weighting, with scipy's non-negative least squares in place of the solver that torchjd would need."""
    try:
        from torchjd.aggregation import UPGradWeighting
        from torchjd.linalg import DualConeProjector
    except ImportError:
        raise UsageError("tasks.balance = upgrad needs torchjd; pip install 'attnkit[multitask]'") from None

    class Projector(DualConeProjector):
        def __call__(self, U: Tensor, G: Tensor) -> Tensor:
            return torch.from_numpy(np.stack([nearest(u, G.numpy()) for u in U.numpy()]))

    return UPGradWeighting(projector=Projector())


def nearest(u_K: NDArray[np.float64], gramian_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The v >= u for which v G v is least: the weights under which gradients with the products G conflict with none.

    With v = u + w and G = A' A it is the w >= 0 for which |A w + A u| is least.

    Source: Quinton and Rey (2024), proposition 1.
    """
    sizes, directions = np.linalg.eigh(gramian_KK / (np.trace(gramian_KK) or 1.0))
    root_KK = np.sqrt(sizes.clip(min=0))[:, None] * directions.T
    return u_K + nnls(root_KK, -root_KK @ u_K)[0]


def _gradient(loss: Tensor, moved: Sequence[Tensor]) -> Tensor:
    parts = torch.autograd.grad(loss, moved, retain_graph=True, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(moved, parts, strict=True)])


def make_balance(
    name: str, temperature: float, model: nn.Module, kinds: Sequence[str], sizes: Sequence[int]
) -> Combine:
    """The balance of that name for tasks of these kinds and numbers of training rows.

    What an uncertainty learns is attached to `model`, so that it moves, is averaged and is restored with its weights.

    Raises: UsageError where a temperature is given to a balance that does not read it, or a package is missing.
    """
    if temperature != 1 and name != "none":
        raise UsageError(
            f"tasks.task_temperature = {temperature:g} weighs tasks by their rows, which tasks.balance = {name} does "
            "not; leave one of the two out"
        )
    if name == "uncertainty":
        balance = Uncertainty(kinds)
        model.add_module(NAME, balance)
        return balance
    return UpGrad(model) if name == "upgrad" else ByRows(tuple(sizes), temperature)
