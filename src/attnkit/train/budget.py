"""A budget of wall time: how many steps fit into it, measured on the way."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from attnkit.errors import UsageError

# The first steps of a process fill caches and are slower than those that follow.
_SLOW_STEPS = 3
_MEASURING = 0.05
_TOLERANCE = 0.02
# What the interpreter takes to begin and to end, and the record and the page to be written, on a machine that is free.
_WRITING_SECONDS = 2.5
_SLOWEST = 20.0
_UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def minutes_of(text: str) -> float:
    """Minutes that "90s", "10m" or "1h30m" stand for.

    Raises: UsageError where it is none of these, such as a number without a unit.
    """
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise UsageError(f"--time takes a number with its unit, and got {text!r}; give {text}s, {text}m or {text}h")
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise UsageError(f"--time takes a time such as 90s, 10m or 1h30m, and got {text!r}")
    minutes = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if minutes <= 0:
        raise UsageError(f"--time takes a time above zero, and got {text!r}")
    return minutes


@dataclass(frozen=True)
class Budget:
    """`seconds` of wall time from the reading `began` of `clock` on; `spent` are those of earlier processes.

    After the last evaluation `ending` times as many rows are read as in an evaluation. `busy` gives the processor
    seconds of this process, by which a machine that others use too is known.
    """

    seconds: float
    began: float
    clock: Callable[[], float] = time.monotonic
    spent: float = 0.0
    ending: float = 1.0
    busy: Callable[[], float] = time.process_time

    def left(self) -> float:
        """Seconds that are left; below zero where the time is over."""
        return self.seconds - self.spent - (self.clock() - self.began)

    def slowness(self) -> float:
        """How many seconds pass for one of work, at least 1."""
        return min(_SLOWEST, max(1.0, (self.clock() - self.began) / max(1e-3, self.busy())))

    def part(self, of: int) -> "Budget":
        """A budget that ends after one of `of` equal parts of what is left."""
        left = self.left()
        return replace(self, seconds=self.seconds - left + left / of)


class Pacer:
    """Says how many steps in all fit into `budget`, with evaluations of `reading` seconds and the end of the command.

    The number is settled once the pace is known, and anew only where the end would be off by more than a fiftieth of
    the budget.
    """

    def __init__(self, budget: Budget, steps_an_epoch: int, evaluate_every: int, reading: float) -> None:
        self.budget = budget
        self.steps_an_epoch, self.every = steps_an_epoch, evaluate_every or steps_an_epoch
        self.reading = reading
        self.begun = budget.clock()
        self.taken = 0
        self.first: tuple[float, int] = (self.begun, 0)
        self.evaluating = 0.0

    def after_step(self, step: int, settled: int) -> int:
        """Steps in all as they are known after step number `step`: 0 while they are not, `step` where time is up."""
        now = self.budget.clock()
        self.taken += 1
        if self.taken == 1:
            self.first = (self.begun, step - 1)
        elif self.taken == _SLOW_STEPS:
            self.first = (now, step)
        if self.budget.left() - self._after() < self._pace(step):
            return step
        measured = now - self.begun >= _MEASURING * self.budget.seconds and self.taken > 2 * _SLOW_STEPS
        if not settled and (measured or step % self.steps_an_epoch == 0):
            return self._fitting(step)
        return settled

    def after_evaluation(self, step: int, settled: int, seconds: float) -> int:
        """Steps in all after an evaluation that took `seconds`: `settled`, or another number where that is far off."""
        self.reading = seconds
        self.evaluating += seconds
        if settled <= step:
            return settled
        fitting = self._fitting(step)
        off = abs(fitting - settled) * (self._pace(step) + self.reading / self.every)
        return fitting if off > _TOLERANCE * self.budget.seconds else settled

    def _fitting(self, step: int) -> int:
        room = self.budget.left() - self._after()
        return max(step, step + int(room / (self._pace(step) + self.reading / self.every)))

    def _pace(self, step: int) -> float:
        began, first = self.first
        return (self.budget.clock() - began - self.evaluating) / max(1, step - first)

    def _after(self) -> float:
        return self.reading * (1 + self.budget.ending) + _WRITING_SECONDS * self.budget.slowness()
