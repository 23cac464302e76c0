"""Optimizers by name, from torch, and what each of them reads of a recipe.

Not offered, as they are not for batches of rows: torch's LBFGS (several losses a step) and Rprop (signs of a whole
gradient). What ASGD averages, `swa_start` averages for any optimizer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.run.sections_learning import OptimizerSettings
from attnkit.train.groups import Group, parameter_groups

Groups = list[dict[str, Any]]

# The fields of [optimizer] that each reads, beside those of rates.
READS: dict[str, tuple[str, ...]] = {
    "adamw": ("first_moment", "second_moment", "epsilon"),
    "adam": ("first_moment", "second_moment", "epsilon"),
    "nadam": ("first_moment", "second_moment", "epsilon"),
    "radam": ("first_moment", "second_moment", "epsilon"),
    "adamax": ("first_moment", "second_moment", "epsilon"),
    "sgd": ("momentum", "nesterov"),
    "adagrad": ("epsilon",),
    "adadelta": ("second_moment", "epsilon"),
    "rmsprop": ("momentum", "second_moment", "epsilon"),
    "adafactor": (),
    "muon": ("momentum", "nesterov", "first_moment", "second_moment", "epsilon"),
}

# The rate that is chosen where a recipe leaves it open. Those of adamw's size are twice the usual one, because
# embeddings learn from few words a step; the others stand where range tests put them beside it. That of adafactor is a
# share of the weights' size, and that of adadelta a factor on the steps it finds by itself.
USUAL_RATES = {
    "adamw": 0.002,
    "adam": 0.002,
    "nadam": 0.002,
    "radam": 0.002,
    "adamax": 0.004,
    "sgd": 0.1,
    "adagrad": 0.02,
    "adadelta": 1.0,
    "rmsprop": 0.0002,
    "adafactor": 0.05,
    "muon": 0.002,
}


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """The optimizer that the recipe names, over the groups of `parameter_groups`; each says its "rate_factor".

    Weight decay is decoupled (weights times 1 - rate x decay) in adamw, nadam, radam, adafactor and muon, and part of
    the gradient (gradient plus decay x weights) in the others, as torch has it.

    Source: of each name, its function in this file.
    """
    groups = parameter_groups(model, recipe)
    settings, rate = recipe.optimizer, chosen(recipe.train.learning_rate)
    hidden = [group for group in groups if group.hidden]
    if hidden:
        rest = [group for group in groups if not group.hidden]
        parts = [_muon(_plain(hidden, recipe), settings, rate)]
        return Together(parts + ([_adamw(_plain(rest, recipe), settings, rate)] if rest else []))
    return _MAKE[settings.optimizer](_plain(groups, recipe), settings, rate)


class Together(Optimizer):
    """Several optimizers, each over groups of its own, behind one: their steps, one state, one list of groups."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = tuple(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        place = 0
        for part in self.parts:
            end = place + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[place:end], self.state
            place = end

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Let each take its step."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()


def optimizer_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors by "number of the parameter/name"."""
    held = optimizer.state_dict()["state"]
    return {f"{number}/{name}": value for number, state in held.items() for name, value in state.items()}


def set_optimizer_state(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_state` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _plain(groups: Sequence[Group], recipe: Recipe) -> Groups:
    decay = recipe.train.weight_decay
    return [
        {"params": one.parameters, "weight_decay": decay if one.decayed else 0.0, "rate_factor": one.rate_factor}
        for one in groups
    ]


def _moments(settings: OptimizerSettings) -> tuple[float, float]:
    return settings.first_moment, settings.second_moment


def _adamw(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Loshchilov and Hutter (2019), algorithm 2."""
    return torch.optim.AdamW(groups, lr=rate, betas=_moments(settings), eps=settings.epsilon, fused=True)


def _adam(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Kingma and Ba (2015), algorithm 1."""
    return torch.optim.Adam(groups, lr=rate, betas=_moments(settings), eps=settings.epsilon, fused=True)


def _nadam(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Dozat (2016), algorithm 2, with its warming momentum."""
    return torch.optim.NAdam(
        groups, lr=rate, betas=_moments(settings), eps=settings.epsilon, decoupled_weight_decay=True
    )


def _radam(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Liu et al. (2020), algorithm 2."""
    return torch.optim.RAdam(
        groups, lr=rate, betas=_moments(settings), eps=settings.epsilon, decoupled_weight_decay=True
    )


def _adamax(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Kingma and Ba (2015), algorithm 2."""
    return torch.optim.Adamax(groups, lr=rate, betas=_moments(settings), eps=settings.epsilon)


def _sgd(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Sutskever et al. (2013), section 2 (momentum, Nesterov), the rate outside the momentum."""
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov)


def _adagrad(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Duchi et al. (2011), figure 1, diagonal."""
    return torch.optim.Adagrad(groups, lr=rate, eps=settings.epsilon)


def _adadelta(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Zeiler (2012), algorithm 1."""
    return torch.optim.Adadelta(groups, lr=rate, rho=settings.second_moment, eps=settings.epsilon)


def _rmsprop(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Tieleman and Hinton (2012), lecture 6.5; momentum of the scaled gradient, Graves (2013), equation 40."""
    return torch.optim.RMSprop(
        groups, lr=rate, alpha=settings.second_moment, eps=settings.epsilon, momentum=settings.momentum
    )


def _adafactor(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Shazeer and Stern (2018), algorithms 4 and 5; the rate is a share of a weight's size."""
    return torch.optim.Adafactor(groups, lr=rate)


def _muon(groups: Groups, settings: OptimizerSettings, rate: float) -> Optimizer:
    """Source: Jordan et al. (2024); at the rate of adamw, Liu et al. (2025), equation 4."""
    return torch.optim.Muon(
        groups, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov, adjust_lr_fn="match_rms_adamw"
    )


# A muon without a hidden matrix is the adamw beside it.
_MAKE: dict[str, Callable[[Groups, OptimizerSettings, float], Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "nadam": _nadam,
    "radam": _radam,
    "adamax": _adamax,
    "sgd": _sgd,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
    "adafactor": _adafactor,
    "muon": _adamw,
}
