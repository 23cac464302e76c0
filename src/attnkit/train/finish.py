"""The end of a run: every figure with its protocol, and a page about it."""

import statistics
from pathlib import Path
from typing import Any

from attnkit.data.examples import Example
from attnkit.files import write_text
from attnkit.page.report import report_page
from attnkit.run.directory import Run
from attnkit.run.log import read_log
from attnkit.run.machine import describe_machine
from attnkit.run.recipe import Recipe
from attnkit.run.record import write_record
from attnkit.task.base import Prediction
from attnkit.task.single_label import SingleLabel
from attnkit.train.calibration import calibration
from attnkit.train.evaluation import recorded_rows
from attnkit.train.events import Say
from attnkit.train.mistakes import count_wrong, worst_mistakes
from attnkit.train.predictor import Predictor
from attnkit.train.prepare import Source
from attnkit.train.saved_model import load_model
from attnkit.train.single import Results

MISTAKES_SHOWN = 10


def write_results(
    folder: Path,
    recipe: Recipe,
    results: Results,
    source: Source,
    say: Say,
    seconds: float,
    allow_code: bool = False,
) -> None:
    """Write metrics.json and report.html, and say each headline figure."""
    metrics = metrics_record(recipe, results)
    write_record(folder / "metrics.json", metrics)
    for measure in results.test.values():
        if ":" not in measure.name:
            say("measured", name=measure.name, value=measure.value, low=measure.low, high=measure.high, n=measure.n)
    for other in results.further:
        for name, measure in (other["test"] or other["validation"]).items():
            if ":" not in name:
                figures = {key: measure[key] for key in ("value", "low", "high", "n")}
                say("measured", name=f"{other['name']}: {name}", **figures)
    facts = {
        "data": source.path.name,
        "rows": ", ".join(f"{name} {count:,}" for name, count in results.sizes.items()),
        "model": f"{recipe.model.encoder}, pooling {recipe.model.pooling}",
        "seconds": f"{seconds:.0f}",
        "machine": str(describe_machine()["processor"]),
        "versions": ", ".join(f"{name} {version}" for name, version in describe_machine()["versions"].items()),
    }
    steps = [line for line in read_log(folder / "log.jsonl") if line["event"] == "step"]
    predictor = Predictor(load_model(folder / "model", allow_code=allow_code))
    rows, predictions = _judged(folder, results, predictor)
    page = report_page(
        source.path.name,
        metrics,
        facts,
        say.sentences,
        rates=[] if results.folds else [(line["step"], line["learning_rate"]) for line in steps],
        mistakes=worst_mistakes(predictor, rows, predictions, MISTAKES_SHOWN),
        judged=(len(rows), count_wrong(rows, predictions)),
    )
    write_text(folder / "report.html", page)


def _judged(folder: Path, results: Results, predictor: Predictor) -> tuple[list[Example], list[Prediction]]:
    """The rows whose mistakes are shown, and what the kept model says of them; of folds those of the first."""
    if results.task.kind == "language":
        return [], []
    if results.judged is not None:
        rows, logits = results.judged
        return rows, results.task.predict(logits)
    rows, _ = recorded_rows(Run(folder))
    return rows, predictor.predict([(row.text, row.pair or "") if predictor.paired else row.text for row in rows])


def metrics_record(recipe: Recipe, results: Results) -> dict[str, Any]:
    """What metrics.json holds."""
    select = results.task.select.measure
    record: dict[str, Any] = {
        "protocol": protocol(recipe, results),
        "select": select,
        "sizes": results.sizes,
        "seed": recipe.train.seed,
        "stopped": results.stopped,
        "test": {name: measure.to_dict() for name, measure in results.test.items()},
        "validation": {name: measure.to_dict() for name, measure in results.validation.items()},
        "baselines": results.baselines,
        "history": results.history,
        "confusion": None,
        "calibration": calibration(results),
        "tasks": results.further,
    }
    if results.folds:
        each = [fold["measures"][select]["value"] for fold in results.folds]
        record["folds"] = {
            "measures": results.folds,
            "mean": statistics.mean(each),
            "deviation": statistics.stdev(each),
        }
    if isinstance(results.task, SingleLabel) and results.test_logits is not None and results.test_targets is not None:
        record["confusion"] = results.task.confusion(results.test_logits, results.test_targets).to_dict()
    return record


def protocol(recipe: Recipe, results: Results) -> str:
    """How the figures were made, in one sentence."""
    chosen_by = results.task.select.measure
    if results.folds:
        return (
            f"{len(results.folds)}-fold cross-validation, stratified, {_drawn(recipe)}, one "
            f"training seed ({recipe.train.seed}); in each fold the best weights were chosen by {chosen_by} on "
            "validation rows taken from its training rows; every row tested once; the interval is over the pooled rows"
        )
    test = "the test split was read once, after training" if results.test else "there was no labeled test row"
    if results.further:
        names = ", ".join(one["name"] for one in results.further)
        test += f"; learned together with {names} (balance {recipe.tasks.balance}), which chose nothing"
    if not recipe.evaluate.read_test:
        test = "the test split was left unread"
    if recipe.data.train_share < 1:
        test += f"; trained on {results.sizes['train']:,} rows, a share of {recipe.data.train_share:g}"
    if not recipe.train.epochs:
        held = f"the {results.sizes['validation']:,} validation rows were not trained on"
        return f"no weight was trained, all are as they began; {held}; {test}; {_drawn(recipe)}"
    return (
        f"weights chosen by {chosen_by} on {results.sizes['validation']:,} validation rows that were not trained on; "
        f"{test}; one training seed ({recipe.train.seed}), {_drawn(recipe)}"
    )


def _drawn(recipe: Recipe) -> str:
    order = recipe.data.validation_order
    return f"rows held out by their order in {order}" if order else f"split seed {recipe.data.split_seed}"
