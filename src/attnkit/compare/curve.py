"""curve(data): how well shares of the training rows do, and whether more rows would help."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attnkit.compare.arms import Arm
from attnkit.compare.cells import VALIDATION, Cell, relative, run_cells
from attnkit.compare.comparison import check_seeds, wanted_recipe, without_path
from attnkit.compare.ground import Ground, lay_ground
from attnkit.compare.paired import over_seeds
from attnkit.compare.place import REPORT, RESULTS, begun, check_free, default_folder
from attnkit.compare.power_law import forecast
from attnkit.errors import UsageError
from attnkit.files import write_text
from attnkit.page.report_curve import curve_page, curve_picture
from attnkit.run.recipe import Recipe
from attnkit.run.record import write_record
from attnkit.task.resampled import resampled
from attnkit.train.events import Listener, Say

SHARES = (0.25, 0.5, 0.75, 1.0)
PICTURE = "curve.svg"


@dataclass(frozen=True)
class Curve:
    """A finished learning curve: its directory, and the record that results.json holds."""

    path: Path
    record: dict[str, Any]


def curve(
    data: str | os.PathLike[str] | None = None,
    *,
    shares: Sequence[float] = SHARES,
    seeds: int = 3,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Listener | None = None,
    allow_code: bool = False,
    **overrides: Any,
) -> Curve:
    """Train on each share of the training rows with each seed, measured on the same validation rows.

    A share is drawn by label and by the seed, so that seeds meet other rows; smaller shares are parts of larger ones.
    What the recipe leaves open is settled for each share by itself, as `train` would settle so many rows.

    Raises: UsageError where data, recipe or shares are wrong, before anything is trained; Interrupted after Ctrl-C.
    """
    ordered = sorted(set(shares))
    if len(ordered) < 2 or not all(0 < share <= 1 for share in ordered):
        raise UsageError(f"a curve needs two or more different shares above 0 and up to 1, and got {list(shares)}")
    check_seeds(seeds)
    check_free(out, resume)
    say = Say(progress)
    wanted = wanted_recipe(data, recipe, overrides, allow_code)
    if wanted.data.train_share != 1:
        raise UsageError("data.train_share is what a curve changes; name the shares with --shares instead")
    with torch.random.fork_rng(devices=[]):
        ground = lay_ground(wanted, say, allow_code)
    arms = share_arms(ground, wanted, ordered, allow_code)
    numbers = [wanted.train.seed + number for number in range(seeds)]
    folder = Path(out) if out is not None else default_folder(ground.path, "curve")
    plan = {
        "what": "curve", "data": ground.sha256, "shares": ordered, "seeds": numbers, "recipe": without_path(wanted),
    }  # fmt: skip
    with begun(folder, plan):
        cells = run_cells(folder, arms, numbers, ground, say, allow_code)
        record = make_record(folder, ground, ordered, numbers, cells)
        write_record(folder / RESULTS, record)
        write_text(folder / PICTURE, curve_picture(record, alone=True))
        write_text(folder / REPORT, curve_page(ground.path.name, record, say.sentences))
    return Curve(folder, record)


def shares_of(words: Sequence[str]) -> tuple[float, ...]:
    """Shares given as words, with commas between or apart; 25, 50, 75 and 100 % of none.

    Raises: UsageError where one is no number.
    """
    parts = [part.strip() for word in words for part in word.split(",") if part.strip()]
    try:
        return tuple(float(part.removesuffix("%")) / (100 if part.endswith("%") else 1) for part in parts) or SHARES
    except ValueError:
        raise UsageError(
            f"--shares takes numbers such as 0.25,0.5,1 or 25%,50%,100%, and got {', '.join(parts)}"
        ) from None


def share_arms(ground: Ground, wanted: Recipe, shares: Sequence[float], allow_code: bool = False) -> list[Arm]:
    """One arm a share, open where the recipe is open, with the columns that all rows showed."""
    columns = {f"data.{name}": getattr(ground.recipe.data, name) for name in ("text", "label", "kind")}
    given = {**columns, "evaluate.read_test": False, "evaluate.baselines": False}
    return [
        Arm(f"{100 * share:g} %", wanted.with_values({**given, "train_share": share}, allow_code=allow_code), {})
        for share in shares
    ]


def make_record(
    folder: Path, ground: Ground, shares: Sequence[float], seeds: Sequence[int], cells: Sequence[Cell]
) -> dict[str, Any]:
    """What results.json holds: a point a share with its interval, and the forecast.

    Raises: UsageError where too few shares were trained with every seed to draw anything.
    """
    by_share = {share: [cell for cell in cells if cell.arm == f"{100 * share:g} %"] for share in shares}
    whole = [share for share in shares if not any(cell.failure for cell in by_share[share])]
    failures = [
        {"share": share, "seed": cell.seed, "reason": cell.failure}
        for share in shares
        for cell in by_share[share]
        if cell.failure
    ]
    if not whole:
        raise UsageError(f"no share was trained with every seed: {failures[0]['reason']}")
    generator = np.random.default_rng(0)
    outputs = [cell.outputs for share in whole for cell in by_share[share] if cell.outputs is not None]
    point, drawn = resampled(ground.task, ground.validation, outputs, generator)
    figures = point.reshape(len(whole), len(seeds))
    found = over_seeds(figures, drawn.reshape(len(drawn), len(whole), len(seeds)), generator)
    select = ground.task.select
    points = []
    for at, share in enumerate(whole):
        low, high = found.interval(at)
        rows = sum(cell.facts["train_rows"] for cell in by_share[share]) / len(seeds)
        points.append(
            {
                "share": share, "train_rows": round(rows), "mean": float(found.mean_A[at]), "low": low, "high": high,
                "each": figures[at].tolist(), "runs": [relative(folder, cell) for cell in by_share[share]],
            }
        )  # fmt: skip
    errors, drawn_errors = found.mean_A, found.drawn_RA
    if select.higher_is_better:
        errors, drawn_errors = 1 - errors, 1 - drawn_errors
    told = forecast([share / whole[-1] for share in whole], errors, drawn_errors)
    return {
        "what": "curve",
        "measure": select.measure,
        "higher_is_better": select.higher_is_better,
        "part": VALIDATION,
        "rows": len(ground.validation),
        "seeds": list(seeds),
        "points": points,
        "forecast": told.to_dict(),
        "failures": failures,
        "protocol": _protocol(ground, seeds),
    }


def _protocol(ground: Ground, seeds: Sequence[int]) -> str:
    resampling = "rows and seeds resampled independently" if len(seeds) > 1 else "rows resampled"
    return (
        f"shares of {len(ground.train):,} training rows, drawn by label and seed; the same {len(ground.validation):,} "
        f"validation rows for all, by which each training chose its epoch too; training seeds "
        f"{', '.join(map(str, seeds))}; settings left open are settled for each share; 95 % percentile bootstrap, "
        f"{resampling}; the test rows were left unread"
    )
