"""Averaged weights beside those that move: exponential from the first step, equal from `swa_start` on."""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.train.parallel.whole import gathered


class Average:
    """A copy of a model that holds the average of its weights; it is what is evaluated and kept.

    With a = share of the old average: exponential, a = min(ema_decay, (1 + step) / (10 + step)), to start quickly;
    from `swa_start` of the steps on equal, a = n / (n + 1) after n weights. Without ema_decay it is, up to `swa_start`,
    the weights themselves. Our networks hold no statistics of batches that would have to be measured again.

    Source: Polyak and Juditsky (1992); equal weights late in training, Izmailov et al. (2018), algorithm 1.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model = copy.deepcopy(model)
        self.decay, self.start = chosen(recipe.train.ema_decay), recipe.optimizer.swa_start
        self.count = 0

    def add(self, model: nn.Module, step: int, steps: int) -> None:
        """Take in the weights after step number `step` (from 0) of `steps`."""
        # Once begun it goes on, also where the number of steps is an estimate that changes.
        if self.count or (self.start < 1 and step >= math.floor(self.start * steps)):
            old, self.count = self.count / (self.count + 1), self.count + 1
        else:
            old = min(self.decay, (1 + step) / (10 + step))
        average_into(self.model.state_dict(), model, 1 - old)

    def state(self) -> dict[str, Tensor]:
        """How many weights the equal average holds; the average itself is the model's own state."""
        return {"count": torch.tensor(self.count)}

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Put back the weights and what `state` gave (nothing: there was no equal average yet)."""
        self.model.load_state_dict(dict(weights))
        self.count = int(state["count"]) if "count" in state else 0


def make_average(model: nn.Module, recipe: Recipe) -> Average | None:
    """The average that the recipe asks for; None where it asks for none."""
    wanted = chosen(recipe.train.ema_decay) > 0 or recipe.optimizer.swa_start < 1
    return Average(model, recipe) if wanted else None


def average_into(average: dict[str, Tensor], model: nn.Module, share: float) -> None:
    """average = (1 - share) average + share weights; what is not a number of reals is copied."""
    with torch.no_grad():
        for name, value in gathered(model.state_dict()).items():
            if value.is_floating_point():
                average[name].lerp_(value, share)
            else:
                average[name].copy_(value)
