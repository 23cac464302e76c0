"""Cells: every arm with every seed, each a run of its own and a record of what it predicted."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from attnkit.compare.arms import Arm
from attnkit.compare.ground import Ground
from attnkit.data.examples import Example
from attnkit.errors import FailedError, UsageError
from attnkit.run.checkpoint import load_checkpoint, save_checkpoint
from attnkit.run.directory import PARTIAL, Run
from attnkit.run.record import read_record, write_record
from attnkit.task.score import Score
from attnkit.train.events import Event, Say
from attnkit.train.interrupt import Interrupted
from attnkit.train.predictor import Predictor, load
from attnkit.train.training import train

FAILED = ".failed.json"
VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True)
class Cell:
    """What one arm did with one seed: `outputs` of the rows (scores in the label's own units), or why it failed.

    `facts` hold parameters, steps, epochs, core_seconds of training and its evaluations (None where it was resumed),
    and the path of the run.
    """

    arm: str
    seed: int
    outputs: Tensor | None
    facts: dict[str, Any]
    failure: str = ""


def run_cells(
    folder: Path, arms: Sequence[Arm], seeds: Sequence[int], ground: Ground, say: Say, allow_code: bool = False
) -> list[Cell]:
    """Train what is not there yet, seed by seed so that a load on the machine falls on all arms alike.

    A cell that cannot be trained has its reason, and the others go on; one whose training failed is not tried again.

    Raises: Interrupted where Ctrl-C stopped it, after saving.
    """
    cells: list[Cell] = []
    total = len(arms) * len(seeds)
    (folder / "cells").mkdir(exist_ok=True)
    for seed in seeds:
        for number, arm in enumerate(arms, 1):
            place = folder / "cells" / f"{number:02d}-{arm.slug}-seed{seed}"
            cell = _kept(place, arm, seed)
            if cell is None:
                cell = _trained(place, arm, seed, ground, folder, allow_code)
                count = f"{len(cells) + 1} of {total}"
                figure = f"failed: {cell.failure}" if cell.failure else _figure(cell)
                say("said", sentence=f"{count}: {arm.name}, seed {seed}: {figure}")
            cells.append(cell)
    return cells


def test_cells(folder: Path, cells: Sequence[Cell], ground: Ground, say: Say, allow_code: bool = False) -> list[Cell]:
    """The same cells with what they say of the test rows, which are read once and then kept.

    Raises: UsageError where there are no labeled test rows.
    """
    if not ground.test:
        raise UsageError(f"{ground.path} gives no labeled test rows; leave --test out")
    found = []
    for cell in cells:
        if cell.failure:
            found.append(cell)
            continue
        run = Path(cell.facts["run"])
        path = run.with_name(f"{run.name}.{TEST}.safetensors")
        if not path.exists():
            _keep(path, _outputs(load(run, allow_code=allow_code), ground.test), {})
        outputs = load_checkpoint(path).groups["rows"]["outputs"]
        found.append(Cell(cell.arm, cell.seed, outputs, cell.facts))
    say("said", sentence=f"the {len(ground.test):,} test rows are read")
    return found


def _kept(place: Path, arm: Arm, seed: int) -> Cell | None:
    failed = place.with_name(place.name + FAILED)
    if failed.exists():
        record = read_record(failed)
        return Cell(arm.name, seed, None, record["facts"], record["reason"])
    path = place.with_name(f"{place.name}.{VALIDATION}.safetensors")
    if not path.exists():
        return None
    kept = load_checkpoint(path)
    return Cell(arm.name, seed, kept.groups["rows"]["outputs"], {**kept.facts, "run": str(place)})


def _trained(place: Path, arm: Arm, seed: int, ground: Ground, folder: Path, allow_code: bool) -> Cell:
    watch = _Watch(resumed=place.exists() or place.with_name(place.name + PARTIAL).exists())
    recipe = arm.recipe.with_values({"train.seed": seed, "evaluate.read_test": False}, allow_code=allow_code)
    try:
        run = train(recipe=recipe, out=place, resume=True, progress=watch, allow_code=allow_code)
        outputs = _outputs(load(run, allow_code=allow_code), ground.validation)
    except Interrupted:
        raise Interrupted(
            f"stopped by Ctrl-C and saved in {folder}; go on with the same call, --out {folder} and --resume",
            str(folder),
        ) from None
    except (FailedError, UsageError, ValueError, RuntimeError, MemoryError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, FailedError):
            # Training itself failed, and would again; what else there is passes, or is found before the first step.
            write_record(place.with_name(place.name + FAILED), {"reason": reason, "facts": watch.facts})
        return Cell(arm.name, seed, None, watch.facts, reason)
    facts = {**watch.facts, **_measured(run)}
    _keep(place.with_name(f"{place.name}.{VALIDATION}.safetensors"), outputs, facts)
    return Cell(arm.name, seed, outputs, {**facts, "run": str(place)})


class _Watch:
    """Listens to a training: its parameters, and the processor time from the first step to the last evaluation."""

    def __init__(self, resumed: bool) -> None:
        self.resumed = resumed
        self.began = 0.0
        self.facts: dict[str, Any] = {"parameters": None, "core_seconds": None}

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self.began = time.process_time()
            self.facts["parameters"] = event.values["parameters"]
            self.facts["train_rows"] = event.values["train"]
        elif event.kind == "stop" and not self.resumed:
            self.facts["core_seconds"] = round(time.process_time() - self.began, 3)


def _measured(run: Run) -> dict[str, Any]:
    metrics = run.metrics
    measure = metrics[VALIDATION][metrics["select"]]
    best = next((line for line in reversed(metrics["history"]) if line["best"]), None)
    return {
        "measure": metrics["select"],
        "value": measure["value"],
        "steps": metrics["history"][-1]["step"] if metrics["history"] else 0,
        "best_epoch": best["epoch"] if best else None,
        "stopped": metrics["stopped"],
    }


def _outputs(predictor: Predictor, rows: Sequence[Example]) -> Tensor:
    logits = predictor.logits([(row.text, row.pair or "") if predictor.paired else row.text for row in rows])
    task = predictor.task
    # Each cell standardizes scores by the rows it was trained on; errors need one unit.
    return logits * task.deviation + task.mean if isinstance(task, Score) else logits


def _keep(path: Path, outputs: Tensor, facts: dict[str, Any]) -> None:
    save_checkpoint(path, {"rows": {"outputs": outputs}}, facts)


def _figure(cell: Cell) -> str:
    facts = cell.facts
    seconds = "" if facts["core_seconds"] is None else f", {facts['core_seconds']:.0f} core-seconds"
    return f"{facts['measure']} {facts['value']:.4f} on validation, {facts['parameters']:,} parameters{seconds}"


def relative(folder: Path, cell: Cell) -> str | None:
    """The path of a cell's run, as seen from the folder of the comparison."""
    return os.path.relpath(cell.facts["run"], folder) if cell.facts.get("run") else None
