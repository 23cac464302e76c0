"""The account of a study: every trial that was ever begun, how it ended and why, and what it cost."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from attnkit.tune.space import Setting, Space

# complete, pruned: measured. failed: it could not be trained. impossible: its setting is refused. lost: its worker
# ended or fell silent. stopped: by Ctrl-C or the end of the time. surplus: begun by two workers as the last one.
MEASURED = ("complete", "pruned")
REPEATED = ("lost", "stopped")
STATES = (*MEASURED, "failed", "impossible", *REPEATED, "surplus", "running", "waiting")


@dataclass(frozen=True)
class TrialLine:
    """One trial: its number, state and setting, its figure (None without one), its end, and what it cost.

    `course` holds the figures on the way as pairs (point, figure); `again_of` the number of the trial that it repeats.
    """

    number: int
    state: str
    setting: Setting
    value: float | None = None
    reason: str = ""
    seconds: float = 0.0
    core_seconds: float = 0.0
    parameters: int | None = None
    epochs: float | None = None
    worker: str = ""
    again_of: int | None = None
    default: bool = False
    course: tuple[tuple[int, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def account(trials: Iterable[Any], space: Space) -> list[TrialLine]:
    """Optuna's trials in our words, by number."""
    return [_line(trial, space) for trial in sorted(trials, key=lambda trial: trial.number)]


def _line(trial: Any, space: Space) -> TrialLine:
    told = trial.user_attrs
    drawn = trial.params or trial.system_attrs.get("fixed_params", {})
    whole = all(name in drawn for name in space.axes)
    beat, found, worker = told.get("beat", {}), told.get("found", {}), told.get("worker", {})
    cost = told.get("cost", beat)
    state = _state(trial)
    return TrialLine(
        number=trial.number,
        state=state,
        setting=space.decode(drawn) if whole else {},
        value=trial.value if state in MEASURED else None,
        # A trial that was taken for lost may have been told complete at the same moment.
        reason="" if state == "complete" else told.get("ended", {}).get("reason", ""),
        seconds=cost.get("seconds", 0.0),
        core_seconds=cost.get("core_seconds", 0.0),
        parameters=found.get("parameters"),
        epochs=found.get("epochs"),
        worker=f"{worker['pid']} on {worker['host']}" if worker else "",
        again_of=told.get("again_of"),
        default=bool(told.get("default")),
        course=tuple(sorted(trial.intermediate_values.items())),
    )


def _state(trial: Any) -> str:
    name = trial.state.name
    if name != "FAIL":
        return {"COMPLETE": "complete", "PRUNED": "pruned", "RUNNING": "running", "WAITING": "waiting"}[name]
    return str(trial.user_attrs.get("ended", {}).get("kind", "failed"))


def repeated(lines: Sequence[TrialLine]) -> set[int]:
    """The numbers of trials that another one repeats."""
    return {line.again_of for line in lines if line.again_of is not None}


def counted(lines: Sequence[TrialLine]) -> list[TrialLine]:
    """The trials that count towards the number wanted: not those that another repeats, nor surplus ones."""
    others = repeated(lines)
    return [line for line in lines if line.number not in others and line.state != "surplus"]


def attempt(lines: Sequence[TrialLine], number: int) -> int:
    """How many times the trial was begun before under other numbers because it was lost."""
    before = {line.number: line for line in lines}
    times, line = 0, before[number]
    while line.again_of is not None:
        line = before[line.again_of]
        times += line.state == "lost"
    return times


def to_repeat(lines: Sequence[TrialLine], retries: int, states: tuple[str, ...] = REPEATED) -> list[TrialLine]:
    """Lost trials that may be begun anew, and stopped ones, that nobody has begun anew; those in `states`."""
    others = repeated(lines)
    return [
        line
        for line in lines
        if line.number not in others
        and line.setting
        and line.state in states
        and (line.state == "stopped" or (line.state == "lost" and attempt(lines, line.number) < retries))
    ]


def best_of(lines: Sequence[TrialLine], higher_is_better: bool) -> TrialLine | None:
    """The complete trial with the best figure, the first of equals; None where there is none."""
    complete = [line for line in lines if line.state == "complete" and line.value is not None]
    sign = -1 if higher_is_better else 1
    return min(complete, key=lambda line: (sign * (line.value or 0.0), line.number), default=None)


def counts(lines: Sequence[TrialLine]) -> dict[str, int]:
    """How many trials there are in each state that occurs."""
    return {state: number for state in STATES if (number := sum(line.state == state for line in lines))}
