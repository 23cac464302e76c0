"""A range test of the learning rate: it rises from step to step until the loss leaves the network, in a few minutes."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from attnkit.errors import FailedError, UsageError
from attnkit.run.recipe import Recipe, load_recipe, recipe_from_plain
from attnkit.train.assemble import assemble, split_source
from attnkit.train.events import Event, Listener, Say
from attnkit.train.loop import Loop
from attnkit.train.named_files import refuse_missing
from attnkit.train.parallel.processes import current
from attnkit.train.parallel.sharing import check_shared_out
from attnkit.train.prepare import check_source, read_source
from attnkit.train.update import NotFiniteError

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 300
# How much of the smoothed loss the steps before make up.
_KEPT = 0.95
# Steps before which a smoothed loss says little.
_FIRST = 30
# Steps on either side over which a fall is measured.
_AROUND = 5
# The loss is gone when it has risen above its least by all it had fallen, and by a quarter of where it began.
_GONE = 0.25
# Less of a fall is noise.
_FALL = 0.03
# What says how long a training goes on and how its rate moves; here the steps and the rates are the test's own.
_UNREAD = ("train.epochs", "train.patience", "train.learning_rate", "train.warmup_steps", "train.ema_decay")


@dataclass(frozen=True)
class RateRange:
    """What each rate of a range test cost, and the rate it suggests.

    `steepest` is the rate at which the smoothed loss fell fastest (None: it hardly fell), `lowest` that at which it was
    least, `diverged` that at which it had risen from there by all it had fallen, and by a quarter of where it began, or
    was no number any more (None: neither).
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    steepest: float | None
    lowest: float
    diverged: float | None
    suggested: float
    reason: str
    optimizer: str

    @property
    def sentences(self) -> list[str]:
        """What was seen, one sentence each."""
        fell = f"it fell fastest at {self.steepest:.2g}" if self.steepest is not None else "it hardly fell"
        gone = f"it diverged at {self.diverged:.2g}" if self.diverged is not None else "it never diverged"
        return [f"The smoothed loss was least, {min(self.smoothed):.3f}, at {self.lowest:.2g}; {fell}; {gone}."]

    def to_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def learning_rate_range(
    data: str | os.PathLike[str] | None = None,
    *,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    progress: Listener | None = None,
    allow_code: bool = False,
    **overrides: Any,
) -> RateRange:
    """Train for at most `steps` steps on `data` while the rate rises from `lowest` to `highest`, and keep no run.

    `recipe` and `overrides` are those of `attnkit.train`; all that shapes an update counts, the schedule does not. Step
    n has the rate lowest (highest / lowest)^(n / (steps - 1)). What is suggested is a tenth of the rate at which the
    loss diverged, or the steepest rate where that is lower or the loss never diverged: the steepest alone is often too
    high for the many steps of a training.

    Raises: UsageError where data, recipe or options are wrong; FailedError where the loss neither fell nor diverged.
    Source: Smith (2017), section 3.3.
    """
    if not (0 < lowest < highest and steps >= 2 * _FIRST):
        raise UsageError(
            f"a range test takes rates that rise and at least {2 * _FIRST} steps, and got {lowest:g} to {highest:g} in "
            f"{steps} steps; give others"
        )
    if isinstance(recipe, (str, os.PathLike)):
        recipe = load_recipe(Path(recipe), allow_code=allow_code)
    values = dict(overrides) if data is None else {**overrides, "data.path": os.fspath(data)}
    base = recipe if recipe is not None else recipe_from_plain({}, "the defaults")
    wanted = base.with_values({**values, "evaluate.read_test": False}, allow_code=allow_code)
    say = Say(_without_unread(progress))
    with tempfile.TemporaryDirectory() as name, torch.random.fork_rng(devices=[]):
        loop = _loop(Path(name), wanted, say, allow_code)
        rates = [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]
        losses = _losses(loop, rates, say)
    gone = len(losses) < steps
    say("stop", reason="the loss has diverged, so no higher rate is tried" if gone else f"all {steps} steps are done")
    return judged(rates, losses, loop.recipe.optimizer.optimizer)


def _without_unread(progress: Listener | None) -> Listener | None:
    """`progress` without the choices that a range test does not use."""

    def listen(event: Event) -> None:
        if progress is not None and not (event.kind == "choice" and event.values["field"] in _UNREAD):
            progress(event)

    return listen


def _loop(folder: Path, wanted: Recipe, say: Say, allow_code: bool) -> Loop:
    check_shared_out(wanted, current())
    refuse_missing(wanted)
    source = read_source(wanted, say)
    check_source(source.examples(), source.schema, say)
    splits = split_source(source, wanted.with_values({"evaluate.read_test": True}, allow_code=allow_code))
    unread = len(splits.test)
    splits = replace(splits, test=[])
    made = assemble(folder, folder, wanted, splits, source, say, allow_code, quiet=True)
    say(
        "start",
        epochs=1,
        steps_an_epoch=len(made.train),
        parameters=sum(parameter.numel() for parameter in made.model.parameters()),
        train=len(made.train),
        validation=len(made.validation),
        test=0,
        unread=unread,
    )
    checkpoint = folder / "checkpoint.safetensors"
    learned, held = made.looped
    return Loop(made.model, learned, made.prepare, made.train, held, made.recipe, checkpoint, say)


def _losses(loop: Loop, rates: Sequence[float], say: Say) -> list[float]:
    """The loss at each rate, up to the step at which it is gone; the last is infinite where it is no number."""
    losses: list[float] = []
    order = loop.batches(0)
    for step, rate in enumerate(rates):
        if step and step % len(order) == 0:
            order = loop.batches(step // len(order))
        try:
            losses.append(loop.update(order[step % len(order)], step, rate))
        except NotFiniteError:
            return [*losses, math.inf]
        say("step", epoch=1, step=step + 1, steps=len(rates), loss=losses[-1], learning_rate=rate)
        if _gone(smooth(losses)) is not None:
            break
    return losses


def smooth(losses: Sequence[float]) -> list[float]:
    """The mean of the losses so far in which each counts 0.95 of the next, free of the bias of its beginning.

    s_n = (1 - 0.95) / (1 - 0.95^n) sum over i = 1..n of 0.95^(n - i) loss_i.
    """
    total, smoothed = 0.0, []
    for step, loss in enumerate(losses, 1):
        total = _KEPT * total + (1 - _KEPT) * loss
        smoothed.append(total / (1 - _KEPT**step))
    return smoothed


def _gone(smoothed: Sequence[float]) -> int | None:
    """The first step at which the loss has diverged, None where it has not."""
    began = least = math.inf
    for step, value in enumerate(smoothed):
        if not math.isfinite(value):
            return step
        if step == _FIRST:
            began = least = value
        least = min(least, value)
        if step > _FIRST and value > least + max(began - least, _GONE * abs(began)):
            return step
    return None


def judged(rates: Sequence[float], losses: Sequence[float], optimizer: str) -> RateRange:
    """What `losses` at the first of the rising `rates` say.

    Raises: FailedError where they neither fell nor diverged.
    """
    smoothed = smooth(losses)
    gone = _gone(smoothed)
    finite = [step for step, value in enumerate(smoothed) if math.isfinite(value)]
    known = finite[_FIRST:]
    if len(known) < 3:
        raise FailedError(
            f"the loss was gone after {len(finite)} steps, at the rate {rates[len(finite)]:g}; begin lower"
        )
    lowest = min(known, key=lambda step: smoothed[step])
    steepest = _steepest(smoothed, known[0], lowest)
    diverged = rates[gone] if gone is not None else None
    fastest = rates[steepest] if steepest is not None else None
    if diverged is not None and (fastest is None or diverged / 10 <= fastest):
        suggested, reason = diverged / 10, "a tenth of the rate at which the loss diverged"
    elif fastest is not None:
        suggested, reason = fastest, "the rate at which the loss fell fastest"
    else:
        raise FailedError(
            f"the loss neither fell nor diverged between the rates {rates[0]:g} and {rates[len(losses) - 1]:g}; go "
            "higher, or look at the data"
        )
    kept = len(finite)
    return RateRange(
        list(rates[:kept]),
        list(losses[:kept]),
        smoothed[:kept],
        fastest,
        rates[lowest],
        diverged,
        suggested,
        reason,
        optimizer,
    )


def _steepest(smoothed: Sequence[float], first: int, lowest: int) -> int | None:
    """The step around which the smoothed loss fell most, None where it hardly fell.

    The first tenth of the whole fall does not count: so early a mean is of few losses, and goes up and down by chance.
    """
    fall = smoothed[first] - smoothed[lowest]
    if fall <= _FALL * abs(smoothed[first]):
        return None
    begun = [step for step in range(first, lowest + 1) if smoothed[step] <= smoothed[first] - fall / 10]
    last = len(smoothed) - 1
    falls = {step: smoothed[max(first, step - _AROUND)] - smoothed[min(lowest, last, step + _AROUND)] for step in begun}
    return max(falls, key=lambda step: falls[step])
