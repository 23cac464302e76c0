"""Schedules: the learning rate as a function of the step, and for a plateau of the evaluations before it."""

import math
from collections.abc import Sequence

from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe

# The fields of [optimizer] that each reads.
READS: dict[str, tuple[str, ...]] = {
    "constant": (),
    "step": ("decay_factor", "decay_epochs"),
    "exponential": ("decay_factor", "decay_epochs"),
    "cosine": ("final_rate", "cycles"),
    "linear": ("final_rate",),
    "inverse_root": (),
    "one_cycle": (),
    "plateau": ("decay_factor", "plateau_patience"),
}
# What a one-cycle schedule begins at, and what is left at its end of that beginning, as torch has them.
ONE_CYCLE_BEGINS, ONE_CYCLE_ENDS = 1 / 25, 1e-4


def learning_rate(
    recipe: Recipe, step: int, steps: int, steps_an_epoch: float = 1.0, better: Sequence[bool] = ()
) -> float:
    """Rate of step 0..steps-1: a linear rise over the warm-up, then what the schedule says.

    With n the steps since the warm-up of w steps, N = steps - w, f = decay_factor and D = decay_epochs in steps, the
    share of the highest rate is 1 (constant), f^floor(n / D) (step), f^(n / D) (exponential), final_rate and what lies
    above it times 1 - n / N (linear) or times (1 + cos(pi x)) / 2 with x the place in one of the cycles (cosine),
    sqrt(w / (step + 1)) (inverse_root), or f a fall for evaluations of which `better` says whether each was the best so
    far (plateau). one_cycle rises by a cosine from a 25th over the warm-up and falls by one to nearly nothing.

    Source: cosine, Loshchilov and Hutter (2017), equation 5; inverse_root, Vaswani et al. (2017), equation 3;
    one_cycle, Smith and Topin (2018), by cosines and without its change of momentum.
    """
    settings, train = recipe.optimizer, recipe.train
    highest, warmup = chosen(train.learning_rate), min(chosen(train.warmup_steps), steps)
    if train.schedule == "one_cycle":
        return highest * one_cycle(step, steps, warmup)
    if step < warmup:
        return highest * (step + 1) / warmup
    since, whole = step - warmup, max(1, steps - warmup)
    fall_steps = settings.decay_epochs * steps_an_epoch
    match train.schedule:
        case "step":
            return highest * settings.decay_factor ** math.floor(since / fall_steps)
        case "exponential":
            return highest * settings.decay_factor ** (since / fall_steps)
        case "linear":
            return highest * _above(settings.final_rate, 1 - since / whole)
        case "cosine":
            place = since * settings.cycles / whole % 1
            return highest * _above(settings.final_rate, (1 + math.cos(math.pi * place)) / 2)
        case "inverse_root":
            return highest * math.sqrt(max(1, warmup) / (step + 1))
        case "plateau":
            return highest * settings.decay_factor ** falls(better, settings.plateau_patience)
    return highest


def one_cycle(step: int, steps: int, warmup: int) -> float:
    """Share of the highest rate: a cosine from 1/25 up to 1 at the last step of the warm-up, and down to 1/250,000."""
    top = max(0, warmup - 1)
    if step <= top:
        return 1.0 if top == 0 else _between(ONE_CYCLE_BEGINS, 1.0, step / top)
    return _between(1.0, ONE_CYCLE_BEGINS * ONE_CYCLE_ENDS, (step - top) / max(1, steps - 1 - top))


def falls(better: Sequence[bool], patience: int) -> int:
    """How often more than `patience` evaluations in a row were no better than the best before; each fall counts anew.

    `better` has an entry for each evaluation so far.
    """
    fallen = stale = 0
    for one in better:
        stale = 0 if one else stale + 1
        if stale > patience:
            fallen, stale = fallen + 1, 0
    return fallen


def _above(lowest: float, share: float) -> float:
    return lowest + (1 - lowest) * share


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
