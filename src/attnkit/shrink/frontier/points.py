"""The last part of a search: a run for each point of the frontier, measured beside the parent."""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from torch import Tensor

from attnkit.run.directory import PARTIAL, Run
from attnkit.shrink.child import child_recipe
from attnkit.shrink.frontier.account import Account, Kept, Measured
from attnkit.shrink.frontier.latency import Timed, milliseconds
from attnkit.shrink.frontier.measuring import frontier_of, texts_of
from attnkit.shrink.frontier.numbers import NUMBERS
from attnkit.shrink.parent import Parent
from attnkit.task.metrics.bootstrap import interval
from attnkit.task.resampled import resampled
from attnkit.task.score import Score
from attnkit.train.events import Say
from attnkit.train.loop import predict_logits
from attnkit.train.predictor import Predictor, load
from attnkit.train.training import train

TEXTS = 64


def keep_points(
    account: Account,
    parent: Parent,
    folder: Path,
    keep: Callable[[], None],
    say: Say,
    allow_code: bool = False,
) -> None:
    """Make a run for each point of the frontier, then time all of them in turns and hold their figures together."""
    frontier = frontier_of(account)
    say("said", sentence=f"{len(account.measured)} networks were measured; a run is made for each of {len(frontier)}")
    points = [(one, _run(one, parent, folder, allow_code)) for one in frontier]
    rows = parent.part("validation").rows
    held = [parent.predictor, *(load(run, allow_code=allow_code) for _, run in points)]
    items = [one.encode(texts_of(rows)) for one in held]
    spent = milliseconds(
        [Timed(one.network, one.preprocessing, held[:TEXTS]) for one, held in zip(held, items, strict=True)]
    )
    outputs = [_outputs(one, of) for one, of in zip(held, items, strict=True)]
    value_N, drawn_RN = resampled(parent.task, rows, outputs, np.random.default_rng(0))
    low, high = interval(float(value_N[0]), drawn_RN[:, 0])
    account.before = {
        "run": account.parent,
        "value": float(value_N[0]),
        "low": low,
        "high": high,
        "disk_bytes": disk_bytes(parent.run),
        "milliseconds": list(spent[0]),
    }
    account.kept = []
    for number, (one, run) in enumerate(points, 1):
        value = float(value_N[number])
        change = value - float(value_N[0])
        account.kept.append(
            Kept(
                name=f"{one.structure.said()}, {one.numbers}",
                run=str(run.path.relative_to(folder)),
                structure=one.structure,
                numbers=one.numbers,
                disk_bytes=disk_bytes(run),
                milliseconds=spent[number],
                ratios=(spent[number][0] / spent[0][0], spent[number][1] / spent[0][1]),
                value=value,
                low=interval(value, drawn_RN[:, number])[0],
                high=interval(value, drawn_RN[:, number])[1],
                difference=(change, *interval(change, drawn_RN[:, number] - drawn_RN[:, 0])),
                test=_test(run, account.measure),
            )
        )
    keep()


def disk_bytes(run: Run) -> int:
    """What a run needs to predict, in bytes: its weights and its tokenizer."""
    return sum((run.path / "model" / name).stat().st_size for name in ("weights.safetensors", "tokenizer.json"))


def _run(one: Measured, parent: Parent, folder: Path, allow_code: bool) -> Run:
    """The child that is this point: what was trained, in these numbers, with no more epochs; its test rows are read."""
    name = "-".join((*map(str, astuple(one.structure)), one.numbers.replace(" ", "")))
    out = folder / "points" / name
    if out.exists():
        return Run.open(out)
    if (out.with_name(out.name + PARTIAL) / "recipe.toml").exists():
        return train(out=out, resume=True, allow_code=allow_code)
    source = Parent.open(folder / one.source, allow_code) if one.source else parent
    recipe = child_recipe(
        source, NUMBERS[one.numbers], epochs=0, learning_rate=None, distill=False, allow_code=allow_code
    ).with_values({"evaluate.read_test": parent.run.recipe.evaluate.read_test}, allow_code=allow_code)
    return train(recipe=recipe, out=out, resume=True, allow_code=allow_code)


def _outputs(predictor: Predictor, items: Sequence[list[int] | list[list[int]]]) -> Tensor:
    logits = predict_logits(predictor.network, predictor.preprocessing, items)
    task = predictor.task
    return logits * task.deviation + task.mean if isinstance(task, Score) else logits


def _test(run: Run, measure: str) -> tuple[float, float, float] | None:
    found = run.metrics["test"].get(measure)
    return None if found is None else (found["value"], found["low"], found["high"])
