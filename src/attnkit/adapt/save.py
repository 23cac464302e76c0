"""A point of a learner as an ordinary run."""

from pathlib import Path

from attnkit.adapt.learner import Learner
from attnkit.run.directory import Run
from attnkit.run.log import Log
from attnkit.run.machine import Stopwatch, describe_machine
from attnkit.run.recipe import save_recipe
from attnkit.run.record import file_sha256, write_record
from attnkit.train.evaluation import recorded_rows
from attnkit.train.events import Say
from attnkit.train.finish import write_results
from attnkit.train.loop import predict_logits
from attnkit.train.prepare import read_source
from attnkit.train.saved_model import save_model
from attnkit.train.single import Results
from attnkit.train.start.begin import PARENT


def save_run(learner: Learner, run: Run, out: Path, *, allow_code: bool = False) -> Run:
    """The run of the learner's point, measured on the validation rows of the run it began from; its test is unread.

    Raises: UsageError where something stands at `out`, or the data of the run cannot be read again.
    """
    watch = Stopwatch()
    rows, _ = recorded_rows(run, split="validation")
    labeled = [row for row in rows if row.label is not None and row.text.strip()]
    recipe = run.recipe.with_values({"evaluate.read_test": False}, allow_code=allow_code)
    source = read_source(recipe, Say())
    made = Run.begin(out)
    say = Say()
    say.log = Log(made.path / "log.jsonl")
    save_recipe(made.path / "recipe.toml", recipe)
    write_record(made.path / "data.json", {key: value for key, value in run.data.items() if key != "format"})
    weights = file_sha256(run.path / "model" / "weights.safetensors")
    parent = {"path": str(run.path.absolute()), "said": f"the run {run.name}", "weights_sha256": weights}
    write_record(made.path / PARENT, parent)
    saved = learner.predictor
    save_model(
        made.path / "model", dict(saved.network.state_dict()), saved.settings, saved.preprocessing, saved.task,
        saved.schema,
    )  # fmt: skip
    prepare, task = saved.preprocessing, saved.task
    items = prepare.encode([row.text for row in labeled], [row.pair for row in labeled])
    logits = predict_logits(saved.network, prepare, items)
    sizes = {"train": len(run.data["splits"]["train"]), "validation": len(labeled), "test": 0}
    stopped = f"point {learner.point} of {learner.folder.path.name}, learned from feedback"
    results = Results(task, sizes, [], stopped, task.measure(logits, task.targets(labeled)))
    results.judged = labeled, logits
    wall, processor = watch.seconds()
    write_results(made.path, recipe, results, source, say, wall, allow_code)
    write_record(
        made.path / "machine.json",
        {**describe_machine(), "seconds": wall, "last_process": {"processor_seconds": processor}},
    )
    return made.finish()
