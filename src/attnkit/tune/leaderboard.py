"""The leaderboard: measured settings with their intervals, who ties with the best, and what the choice was worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnkit.task.base import Task
from attnkit.tune.account import TrialLine, best_of, counted, counts
from attnkit.tune.importance import importances
from attnkit.tune.intervals import Compared, compare
from attnkit.tune.plan import Plan
from attnkit.tune.rows import Rows, comparable, load_rows
from attnkit.tune.search import Search
from attnkit.tune.worker import rows_path

# A measure that is no mean over rows is slow to resample, and who comes after these cannot tie for long.
_MOST_COMPARED = 200


@dataclass(frozen=True)
class Board:
    """What leaderboard.json holds, beside its `lines` as objects."""

    record: dict[str, Any]
    lines: list[TrialLine]
    best: TrialLine | None


def make_board(search: Search, task: Task) -> Board:
    """Rank what was measured and account for the rest.

    Complete trials come first, by their figure; then pruned ones by their last figure, which stopped early and is not
    comparable; then all others, by number, each with its reason.
    """
    plan, lines = search.plan, search.lines()
    best = best_of(lines, plan.higher_is_better)
    complete = _ranked([line for line in lines if line.state == "complete"], plan)
    pruned = _ranked([line for line in lines if line.state == "pruned"], plan)
    rest = [line for line in lines if line.state not in ("complete", "pruned")]
    compared = _compared(search, task, complete)
    record = {
        "measure": plan.measure,
        "higher_is_better": plan.higher_is_better,
        "protocol": plan.protocol,
        "rows": plan.rows,
        "sizes": plan.sizes,
        "counts": counts(lines),
        "counted": len(counted(lines)),
        "core_seconds": round(sum(line.core_seconds for line in lines), 3),
        "best": best.number if best else None,
        "default": next((line.number for line in lines if line.default and line.state == "complete"), None),
        "complete": [_entry(line, place, compared) for place, line in enumerate(complete)],
        "pruned": [line.to_dict() for line in pruned],
        "others": [line.to_dict() for line in rest],
        "corrected": compared[1].corrected.to_dict() if compared and compared[1].corrected else None,
        "resamples": compared[1].resamples if compared else None,
        "importance": importances(search),
        "test": None,
    }
    return Board(record, lines, best)


def _ranked(lines: Sequence[TrialLine], plan: Plan) -> list[TrialLine]:
    sign = -1 if plan.higher_is_better else 1
    return sorted(lines, key=lambda line: (sign * (line.value if line.value is not None else 0.0), line.number))


def _compared(search: Search, task: Task, complete: Sequence[TrialLine]) -> tuple[list[int], Compared] | None:
    """The numbers of the trials whose rows are at hand, the best first, and how they compare; None without the best."""
    if search.folder is None or not complete:
        return None
    found: dict[int, Rows] = {}
    for line in complete[:_MOST_COMPARED]:
        rows = load_rows(rows_path(search.folder, line.number))
        if rows is not None:
            found[line.number] = rows
    numbers = list(found)
    if not numbers or numbers[0] != complete[0].number or not comparable(list(found.values())):
        return None
    return numbers, compare(task, list(found.values()), 0, search.plan.higher_is_better)


def _entry(line: TrialLine, place: int, compared: tuple[list[int], Compared] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"rank": place + 1, **line.to_dict(), "low": None, "high": None, "behind": None}
    entry["tied"] = place == 0
    if compared and line.number in compared[0]:
        at = compared[0].index(line.number)
        each, behind = compared[1].each[at], compared[1].behind[at]
        entry |= {"low": each.low, "high": each.high, "behind": behind.to_dict()}
        entry["tied"] = place == 0 or behind.low <= 0 <= behind.high
    return entry


def honesty(record: Mapping[str, Any]) -> list[str]:
    """What a reader must know before quoting the best figure: one sentence each."""
    if record["best"] is None:
        return ["No trial was measured to its end, so there is no best setting."]
    measure, best = record["measure"], record["complete"][0]
    compared = len(record["complete"])
    tied = sum(entry["tied"] for entry in record["complete"]) - 1
    said = [
        f"The best of {compared} measured settings has {measure} {best['value']:.4f}"
        + (f" [{best['low']:.4f}, {best['high']:.4f}]" if best["low"] is not None else "")
        + f" on the {record['rows']:,} rows by which it was chosen; {_luck(record)}, so do not quote it as what to "
        "expect."
    ]
    if record["corrected"]:
        held = record["corrected"]
        corrected = f"{held['value']:.4f} [{held['low']:.4f}, {held['high']:.4f}]"
        begins = (
            f"Without the luck of the choice it is {corrected}"
            if _flattered(record)
            else f"On these rows no luck of the choice shows: corrected for it the figure is {corrected}"
        )
        said.append(
            f"{begins}, the mean figure, over {record['resamples']:,} draws of rows, that the best setting of the "
            "drawn rows has on the others (bootstrap bias correction)."
        )
    if record["test"]:
        held = record["test"]
        said.append(
            f"Quote the test figure: {measure} {held['value']:.4f} [{held['low']:.4f}, {held['high']:.4f}] on "
            f"{held['n']:,} rows that the search never read, measured once."
        )
    if compared > 1:
        many = "no other setting" if not tied else "one other setting" if tied == 1 else f"{tied} other settings"
        said.append(
            f"{many[:1].upper() + many[1:]} {'ties' if tied < 2 else 'tie'} with it: the 95 % interval of the paired "
            "difference holds 0 (each alone, not all at once)."
        )
    return [*said, *_beside_default(record)]


def _flattered(record: Mapping[str, Any]) -> bool:
    """True where the figure of the best, corrected for having been chosen, is worse than it looks."""
    gap = record["corrected"]["value"] - record["complete"][0]["value"]
    return bool(gap < 0 if record["higher_is_better"] else gap > 0)


def _luck(record: Mapping[str, Any]) -> str:
    if record["corrected"] and not _flattered(record):
        return "the best of many is often lucky as well"
    return "the best of many is lucky as well"


def _beside_default(record: Mapping[str, Any]) -> list[str]:
    default = next((entry for entry in record["complete"] if entry["number"] == record["default"]), None)
    if default is None:
        return []
    if default["rank"] == 1:
        return ["The setting without tuning is the best of them."]
    beside = f"The setting without tuning has {default['value']:.4f}, place {default['rank']}"
    if default["behind"] is None:
        return [f"{beside}."]
    held = default["behind"]
    tie = "a tie" if default["tied"] else "not a tie"
    return [f"{beside}: {held['value']:+.4f} [{held['low']:+.4f}, {held['high']:+.4f}] beside the best, {tie}."]
