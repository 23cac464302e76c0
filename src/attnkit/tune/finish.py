"""The end of a study: the account, the leaderboard, the best setting as a recipe, and a page about it."""

import json
from pathlib import Path
from typing import Any

from attnkit.files import write_text
from attnkit.run.directory import Run
from attnkit.run.machine import describe_machine
from attnkit.run.recipe import Recipe, recipe_from_plain, save_recipe
from attnkit.run.record import write_record
from attnkit.task.base import Task
from attnkit.tune.directory import BEST, LEADERBOARD, LINES, MACHINE, PAGE
from attnkit.tune.leaderboard import Board, make_board
from attnkit.tune.library import optuna
from attnkit.tune.page import show_value, study_page
from attnkit.tune.search import Search


def write_account(search: Search, task: Task, folder: Path) -> Board:
    """Write trials.jsonl, leaderboard.json and best.toml as they stand now."""
    board = make_board(search, task)
    rows = [json.dumps(line.to_dict(), ensure_ascii=False) for line in board.lines]
    write_text(folder / LINES, "".join(f"{row}\n" for row in rows))
    write_record(folder / LEADERBOARD, board.record)
    if board.best is not None:
        recipe = best_recipe(search, board)
        save_recipe(folder / BEST, recipe, _reasons(board, search))
    return board


def best_recipe(search: Search, board: Board) -> Recipe:
    """The recipe of the best setting; its [tune] is empty, since nothing is searched any more."""
    assert board.best is not None
    plan = search.plan
    tables = plan.recipe.with_values(board.best.setting, allow_code=plan.allow_code).to_plain()
    del tables["tune"]
    return recipe_from_plain(tables, "the best setting", allow_code=plan.allow_code)


def _reasons(board: Board, search: Search) -> dict[str, str]:
    assert board.best is not None
    measured = len(board.record["complete"])
    reason = f"the best of {measured} measured settings, by {search.plan.measure} (trial {board.best.number})"
    return dict.fromkeys(board.best.setting, reason)


def write_end(search: Search, board: Board, folder: Path, final: Run | None, facts: dict[str, Any]) -> None:
    """Write what is known once the best setting is trained: the test figure, the page, the machine."""
    record = board.record
    if final is not None:
        record["test"] = final.metrics["test"].get(search.plan.measure)
        write_record(folder / LEADERBOARD, record)
    machine = describe_machine()
    machine["versions"]["optuna"] = optuna().__version__
    write_record(folder / MACHINE, {**machine, "core_seconds": record["core_seconds"], **facts})
    settings = search.settings
    said = {
        "data": Path(search.plan.data_path).name,
        "rows": ", ".join(f"{name} {count:,}" for name, count in search.plan.sizes.items()),
        "searched": "; ".join(f"{name} in {_shown(axis)}" for name, axis in search.plan.space.to_plain().items()),
        "sampler and pruner": f"{settings.sampler}, {settings.pruner}",
        "trainings of a setting": f"{settings.tune_seeds * max(1, settings.tune_folds)} "
        f"({_many(settings.tune_seeds, 'seed')}, {_many(settings.tune_folds, 'fold')})",
        "seconds": f"{facts['seconds']:,.0f}",
        "core-seconds of all trials": f"{record['core_seconds']:,.0f}",
        "machine": str(machine["processor"]),
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
    }
    title = f"Tuning on {Path(search.plan.data_path).name}"
    write_text(folder / PAGE, study_page(title, record, board.lines, search.plan, said))


def _many(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _shown(axis: Any) -> str:
    if isinstance(axis, dict):
        words = [f"{axis['low']:.4g} to {axis['high']:.4g}", *(["logarithmic"] if axis.get("log") else [])]
        return ", ".join(words + [f"{key} {axis[key]:g}" for key in ("step", "points") if key in axis])
    return ", ".join(show_value(value) for value in axis)
