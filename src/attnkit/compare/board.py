"""The leaderboard of a comparison: every arm with its figure, cost and difference, and what may be concluded."""

import statistics
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from attnkit.compare.arms import Arm
from attnkit.compare.cells import Cell, relative
from attnkit.compare.conclude import conclusions
from attnkit.compare.ground import Ground
from attnkit.compare.paired import TIE, Resampled, differences, over_seeds
from attnkit.task.resampled import resampled

MECHANISMS, ABLATION = "mechanisms", "ablation"


def make_board(
    folder: Path,
    ground: Ground,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    cells: Sequence[Cell],
    part: str,
    what: str,
) -> dict[str, Any]:
    """The record of the figures on the rows of `part` ("validation" or "test"), as results.json holds it.

    The pairs that are compared are one family for the correction: of mechanisms all pairs, of an ablation each change
    and the recipe. An arm that failed with some seed has its reason and no figure: its mean would be over other seeds.
    """
    rows = ground.rows(part)
    select = ground.task.select
    by_arm = {arm.name: [cell for cell in cells if cell.arm == arm.name] for arm in arms}
    whole = [arm.name for arm in arms if not any(cell.failure for cell in by_arm[arm.name])]
    figures, found = _figures(ground, rows, [by_arm[name] for name in whole], len(seeds))
    reference = arms[0].name
    pairs = _differences(found, whole, reference, select.higher_is_better, what)
    against = {one["a"]: one for one in pairs if one["b"] == reference}
    lines = []
    for arm in arms:
        line: dict[str, Any] = {"name": arm.name, "changed": dict(arm.changed), **_cost(folder, by_arm[arm.name])}
        if arm.name in whole and found is not None:
            at = whole.index(arm.name)
            low, high = found.interval(at)
            line |= {"mean": float(found.mean_A[at]), "low": low, "high": high, "each": figures[at]}
            line["difference"] = against.get(arm.name)
        lines.append(line)
    best = _ranked(lines, select.higher_is_better)
    tied = {
        name for one in pairs if one["verdict"] == TIE for name in (one["a"], one["b"]) if best in (one["a"], one["b"])
    }
    for line in lines:
        told = line.get("difference")
        if what == MECHANISMS:
            line["stands_out"] = line["name"] in tied or line["name"] == best
        else:
            line["stands_out"] = line["name"] == reference or bool(told and told["verdict"] != TIE)
    record = {
        "what": what,
        "part": part,
        "measure": select.measure,
        "higher_is_better": select.higher_is_better,
        "rows": len(rows),
        "seeds": list(seeds),
        "resamples": len(found.drawn_RA) if found is not None else 0,
        "reference": reference,
        "best": best,
        "arms": lines,
        "pairs": pairs,
        "protocol": protocol(ground, seeds, part, len(rows)),
    }
    return {**record, "conclusions": conclusions(record)}


def _figures(
    ground: Ground, rows: Any, cells: Sequence[Sequence[Cell]], seeds: int
) -> tuple[list[list[float]], Resampled | None]:
    if not cells:
        return [], None
    generator = np.random.default_rng(0)
    outputs = [cell.outputs for arm in cells for cell in arm if cell.outputs is not None]
    point, drawn = resampled(ground.task, rows, outputs, generator)
    figures_AS = point.reshape(len(cells), seeds)
    return figures_AS.tolist(), over_seeds(figures_AS, drawn.reshape(len(drawn), len(cells), seeds), generator)


def _differences(
    found: Resampled | None, whole: Sequence[str], reference: str, higher_is_better: bool, what: str
) -> list[dict[str, Any]]:
    """How far each arm lies above each before it, or above the recipe alone."""
    if found is None:
        return []
    every = [(b, a) for a, b in combinations(range(len(whole)), 2) if what == MECHANISMS or whole[a] == reference]
    told = differences(found, every, higher_is_better)
    return [{"a": whole[a], "b": whole[b], **one.to_dict()} for (a, b), one in told.items()]


def _cost(folder: Path, cells: Sequence[Cell]) -> dict[str, Any]:
    def mean(name: str) -> float | None:
        known = [cell.facts[name] for cell in cells if cell.facts.get(name) is not None]
        return statistics.fmean(known) if known else None

    parameters = mean("parameters")
    return {
        "parameters": None if parameters is None else round(parameters),
        "core_seconds": mean("core_seconds"),
        "steps": mean("steps"),
        "runs": [relative(folder, cell) for cell in cells],
        "failures": [{"seed": cell.seed, "reason": cell.failure} for cell in cells if cell.failure],
    }


def _ranked(lines: Sequence[dict[str, Any]], higher_is_better: bool) -> str | None:
    """Give each line its rank by its mean, and the name of the best."""
    measured = sorted((line for line in lines if "mean" in line), key=lambda line: line["mean"])
    if higher_is_better:
        measured.reverse()
    for place, line in enumerate(measured, 1):
        line["rank"] = place
    return measured[0]["name"] if measured else None


def protocol(ground: Ground, seeds: Sequence[int], part: str, rows: int) -> str:
    """How the figures were made, in one sentence."""
    recipe = ground.recipe
    budget = (
        f"{recipe.train.minutes:g} minutes of wall time a training"
        if recipe.train.minutes
        else f"at most {recipe.train.epochs} epochs a training, patience {recipe.train.patience}"
    )
    chosen = (
        "by which each training chose its epoch as well" if part == "validation" else "read once, after all training"
    )
    # Which rows a share holds depends on the seed, and on nothing else.
    drawn = f" (a share of {recipe.data.train_share:g}, drawn by each seed)" if recipe.data.train_share < 1 else ""
    resampling = (
        f"rows and seeds resampled independently, {max(1, len(seeds) - 1)} of {len(seeds)} seeds each time"
        if len(seeds) > 1
        else "rows resampled; one seed says nothing of another"
    )
    return (
        f"{len(ground.train):,} training rows{drawn} and {rows:,} {part} rows ({chosen}), the same for all, split seed "
        f"{recipe.data.split_seed}; training seeds {', '.join(map(str, seeds))}, the same for all; {budget}; 95 % "
        f"percentile bootstrap of paired differences, {resampling}; p-values adjusted by Holm's method"
    )
