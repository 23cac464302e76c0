"""How sure a leaderboard is: intervals of rows, differences row by row, and the price of having chosen the best."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.errors import FailedError, UsageError
from attnkit.task.base import Task
from attnkit.task.metrics.bootstrap import CHUNK, affordable_resamples, interval
from attnkit.tune.rows import Floats, Rows, sums_right

RESAMPLES = 1000
# A measure that is no mean over rows is computed anew for each resample and trial.
_SLOW_RESAMPLES = 200


@dataclass(frozen=True)
class Spread:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """For each trial its interval, and the interval of (trial - best); `corrected` is the best without its luck."""

    each: list[Spread]
    behind: list[Spread]
    corrected: Spread | None
    resamples: int


def compare(task: Task, trials: Sequence[Rows], best: int, higher_is_better: bool, seed: int = 0) -> Compared:
    """Bootstrap the rows of all trials together: every resample draws the same rows for each trial.

    The corrected figure of the best is the mean, over resamples, of the figure that the best trial of the drawn rows
    has on the rows that were not drawn; None where there is one trial only.

    Source: Efron & Tibshirani 1993, chapter 8 (paired rows); Tsamardinos, Greasidou & Borboudakis 2018, algorithm 4
    (bootstrap bias corrected cross-validation).
    """
    whole = np.array([rows.figure(task) for rows in trials])
    n = len(trials[0].targets)
    fast = sums_right(task)
    resamples = affordable_resamples(RESAMPLES, n, len(trials)) if fast else _SLOW_RESAMPLES
    drawn_BT, left_BT = [], []
    for counts_bn in _draws(n, resamples, seed):
        drawn, left = (_fast if fast else _slow)(task, trials, counts_bn)
        drawn_BT.append(drawn)
        left_BT.append(left)
    drawn_all, left_all = np.concatenate(drawn_BT), np.concatenate(left_BT)
    each = [Spread(float(whole[at]), *interval(float(whole[at]), drawn_all[:, at])) for at in range(len(trials))]
    behind = []
    for at in range(len(trials)):
        gap = float(whole[at] - whole[best])
        behind.append(Spread(gap, *interval(gap, drawn_all[:, at] - drawn_all[:, best])))
    corrected = _corrected(drawn_all, left_all, higher_is_better) if len(trials) > 1 else None
    return Compared(each, behind, corrected, resamples)


def _draws(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // rows)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = generator.integers(0, rows, size=(count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)


def _fast(task: Task, trials: Sequence[Rows], counts_bn: NDArray[np.int64]) -> tuple[Floats, Floats]:
    right_nT = np.stack([rows.right() for rows in trials], axis=1)
    left_bn = (counts_bn == 0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        left = left_bn @ right_nT / left_bn.sum(1, keepdims=True)
    return counts_bn @ right_nT / counts_bn.sum(1, keepdims=True), left


def _slow(task: Task, trials: Sequence[Rows], counts_bn: NDArray[np.int64]) -> tuple[Floats, Floats]:
    numbers = np.arange(counts_bn.shape[1])
    drawn = [[_figure(task, rows, np.repeat(numbers, counts)) for rows in trials] for counts in counts_bn]
    left = [[_figure(task, rows, numbers[counts == 0]) for rows in trials] for counts in counts_bn]
    return np.array(drawn), np.array(left)


def _figure(task: Task, rows: Rows, at: NDArray[np.int64]) -> float:
    try:
        return rows.figure(task, at)
    except (UsageError, FailedError, ValueError):
        # Few rows may hold no case of what is measured.
        return float("nan")


def _corrected(drawn_BT: Floats, left_BT: Floats, higher_is_better: bool) -> Spread | None:
    whole = ~np.isnan(drawn_BT).any(1) & ~np.isnan(left_BT).any(1)
    if not whole.any():
        return None
    drawn, left = drawn_BT[whole], left_BT[whole]
    winner = drawn.argmax(1) if higher_is_better else drawn.argmin(1)
    values = left[np.arange(len(left)), winner]
    mean = float(values.mean())
    return Spread(mean, *interval(mean, values))
