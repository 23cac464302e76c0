"""compare(data, ...): mechanisms, or a recipe and its ablations, on the same rows, seeds and budget."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attnkit.compare.arms import ablation_arms, check_arms, mechanism_arms, place_of
from attnkit.compare.board import ABLATION, MECHANISMS, make_board
from attnkit.compare.cells import TEST, VALIDATION, run_cells, test_cells
from attnkit.compare.ground import Ground, fit_for_all, lay_ground, refuse_incomparable
from attnkit.compare.place import REPORT, RESULTS, begun, check_free, default_folder
from attnkit.errors import UsageError
from attnkit.files import write_text
from attnkit.page.report_comparison import comparison_page, comparison_picture
from attnkit.run.recipe import Recipe, find_field, load_recipe, recipe_from_plain
from attnkit.run.record import write_record
from attnkit.train.events import Listener, Say
from attnkit.train.named_files import refuse_missing
from attnkit.train.parallel.processes import ALONE
from attnkit.train.parallel.sharing import check_shared_out

PICTURE = "leaderboard.svg"


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: its directory, and the record that results.json holds."""

    path: Path
    record: dict[str, Any]


def compare(
    data: str | os.PathLike[str] | None = None,
    *,
    mechanisms: Sequence[str] = (),
    ablate: Sequence[str] = (),
    seeds: int = 3,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    test: bool = False,
    progress: Listener | None = None,
    allow_code: bool = False,
    **overrides: Any,
) -> Comparison:
    """Train every arm with every seed and say which differ, which tie, and what each cost.

    The recipe is settled once from the data; arms are one change away from it: a mechanism in its place, or what
    `ablate` sets ("field=value"). They share rows, seeds and budget. Figures are of the validation rows, by which each
    training chose its epoch too; with `test` the test rows are read, once, when all cells are there.

    Raises: UsageError where data, recipe or an arm are wrong, before anything is trained; Interrupted after Ctrl-C.
    """
    if bool(mechanisms) == bool(ablate):
        raise UsageError("name either mechanisms or what to ablate, one of the two")
    check_seeds(seeds)
    check_free(out, resume)
    say = Say(progress)
    wanted = wanted_recipe(data, recipe, overrides, allow_code)
    check_arms(wanted, mechanisms, ablate, allow_code=allow_code)
    with torch.random.fork_rng(devices=[]):
        ground = lay_ground(wanted, say, allow_code)
        if test and not ground.test:
            raise UsageError(f"{ground.path} gives no labeled test rows; leave --test out")
        if mechanisms and (given := {".".join(find_field(name)) for name in overrides} & {place_of(ground.recipe)}):
            raise UsageError(f"{given.pop()} is what the mechanisms change; leave it out, or name it among them")
        make = mechanism_arms if mechanisms else ablation_arms
        arms = fit_for_all(ground, make(ground.recipe, mechanisms or ablate, allow_code=allow_code), say, allow_code)
    numbers = [ground.recipe.train.seed + number for number in range(seeds)]
    folder = Path(out) if out is not None else default_folder(ground.path, "compare")
    what = MECHANISMS if mechanisms else ABLATION
    plan = {
        "what": what,
        "data": ground.sha256,
        "arms": [{"name": arm.name, "changed": dict(arm.changed)} for arm in arms],
        "seeds": numbers,
        "recipe": without_path(ground.recipe),
    }
    with begun(folder, plan):
        cells = run_cells(folder, arms, numbers, ground, say, allow_code)
        record = make_board(folder, ground, arms, numbers, cells, VALIDATION, what)
        tested = test_cells(folder, cells, ground, say, allow_code) if test or _was_tested(folder, cells) else None
        record["test"] = make_board(folder, ground, arms, numbers, tested, TEST, what) if tested else None
        _write(folder, ground, record, say)
    return Comparison(folder, record)


def wanted_recipe(
    data: str | os.PathLike[str] | None,
    recipe: Recipe | str | os.PathLike[str] | None,
    overrides: dict[str, Any],
    allow_code: bool,
) -> Recipe:
    """The recipe that is asked for, with the data in it.

    Raises: UsageError where a recipe or an override is wrong, or names what is not there.
    """
    if isinstance(recipe, (str, os.PathLike)):
        recipe = load_recipe(Path(recipe), allow_code=allow_code)
    base = recipe if recipe is not None else recipe_from_plain({}, "the defaults")
    values = dict(overrides) if data is None else {**overrides, "data.path": os.fspath(data)}
    wanted = base.with_values(values, allow_code=allow_code)
    check_shared_out(wanted, ALONE)
    refuse_incomparable(wanted)
    refuse_missing(wanted)
    return wanted


def check_seeds(seeds: int) -> None:
    """Refuse a number of seeds that nothing can be trained with.

    Raises: UsageError where it is not from 1 to 1000.
    """
    if not 1 <= seeds <= 1000:
        raise UsageError(f"--seeds takes a number from 1 to 1000, and got {seeds}")


def without_path(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain tables, but for where the data stood: that it is the same its hash says."""
    plain = recipe.to_plain()
    return {**plain, "data": {**plain["data"], "path": ""}}


def _was_tested(folder: Path, cells: Sequence[Any]) -> bool:
    """True where an earlier call has read the test rows of every cell: what is known is shown."""
    runs = [Path(cell.facts["run"]) for cell in cells if not cell.failure]
    return bool(runs) and all(run.with_name(f"{run.name}.{TEST}.safetensors").exists() for run in runs)


def _write(folder: Path, ground: Ground, record: dict[str, Any], say: Say) -> None:
    write_record(folder / RESULTS, record)
    write_text(folder / PICTURE, comparison_picture(record["test"] or record, alone=True))
    write_text(folder / REPORT, comparison_page(ground.path.name, record, say.sentences))
