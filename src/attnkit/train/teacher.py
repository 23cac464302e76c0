"""Teachers: finished runs read the training rows once, before the first step, and what they say is kept."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from attnkit.data.batches import bucket_batches
from attnkit.data.examples import Example
from attnkit.data.split import Splits, split_ids
from attnkit.errors import UsageError
from attnkit.layers import Seen, tapped
from attnkit.run.directory import Run
from attnkit.run.record import file_sha256, read_record, write_record
from attnkit.run.sections_learning import DistillSettings
from attnkit.task.base import Task
from attnkit.task.score import Score
from attnkit.train.events import Say
from attnkit.train.lessons import Lessons
from attnkit.train.looks import looks
from attnkit.train.parallel.processes import current
from attnkit.train.predictor import Predictor, load
from attnkit.train.preprocessing import Ids, Preprocessing
from attnkit.train.terms.imitation import check_shares, summarized

TEACHER = "teacher"
_BATCH_ROWS = 64


def teach(
    settings: DistillSettings,
    splits: Splits,
    task: Task,
    prepare: Preprocessing,
    items: Sequence[Ids],
    root: Path,
    say: Say,
    allow_code: bool = False,
) -> Lessons | None:
    """What the teachers of `settings` say of the training rows of `splits`, which the student reads as `items`.

    Logits are the mean over teachers. The run at `root` records who they were. None where there is no teacher.

    Raises: UsageError where a teacher is missing, changed since the run was begun, predicts something else, or cannot
        show what is to be imitated.
    """
    if not settings.teacher:
        return None
    inside = settings.hidden_weight > 0 or settings.attention_weight > 0
    if len(settings.teacher) > 1 and inside:
        raise UsageError(
            f"{len(settings.teacher)} teachers have no summary or attention in common; leave distill.hidden_weight and "
            "distill.attention_weight out, or name one teacher"
        )
    said: list[Tensor] = []
    summaries: Tensor | None = None
    found = None
    for path in settings.teacher:
        run = Run.open(path)
        # A network draws its weights before it is filled, and what the student draws must not hang on that.
        with torch.random.fork_rng(devices=[]):
            teacher = load(run, allow_code=allow_code)
        _check(teacher, path, task, splits.train)
        _warn(run, splits, say)
        rows = teacher.encode([row.text if row.pair is None else (row.text, row.pair) for row in splits.train])
        logits, summaries, maps = _read(teacher, rows, settings.attention_weight > 0)
        said.append(_as_ours(logits, teacher.task, task))
        if settings.attention_weight:
            found = looks(splits.train, teacher.preprocessing, rows, prepare, items, maps, path)
        say("said", sentence=f"{path} taught {len(rows):,} training rows")
    _record(root, settings.teacher)
    return Lessons(torch.stack(said).mean(0), summaries if settings.hidden_weight else None, found)


def _check(teacher: Predictor, path: str, task: Task, rows: Sequence[Example]) -> None:
    theirs, alike = teacher.task, "name one that was trained on the same labels"
    if theirs.kind != task.kind:
        raise UsageError(f"the teacher {path} predicts labels of kind {theirs.kind!r}, this run {task.kind!r}; {alike}")
    if set(theirs.classes) != set(task.classes):
        odd = min(set(theirs.classes) ^ set(task.classes))
        who = "its own" if odd in theirs.classes else "this run's"
        raise UsageError(f"the teacher {path} has other classes: {odd!r} is only among {who}; {alike}")
    if teacher.paired != (rows[0].pair is not None):
        reads = "pairs of texts" if teacher.paired else "single texts"
        raise UsageError(f"the teacher {path} reads {reads} and this run does not; name one that reads the same")


def _warn(run: Run, splits: Splits, say: Say) -> None:
    """Say where a teacher has seen what the student is measured on: the student's figures are then too good."""
    trained = set(run.data["splits"]["train"])
    ids = split_ids(splits)
    for name in ("validation", "test"):
        known = sum(key in trained for key in ids[name])
        if known:
            sentence = f"the teacher {run.name} was trained on {known:,} of the {name} rows: figures on them flatter"
            say("finding", level="warning", sentence=sentence, places=[], places_in_all=0)


def _as_ours(logits: Tensor, theirs: Task, ours: Task) -> Tensor:
    """Logits (n, C) of the teacher's task in the classes, or the units of scores, of ours."""
    if isinstance(theirs, Score) and isinstance(ours, Score):
        return (logits * theirs.deviation + theirs.mean - ours.mean) / ours.deviation
    place = {name: number for number, name in enumerate(theirs.classes)}
    return logits[:, [place[name] for name in ours.classes]]


def _read(teacher: Predictor, rows: Sequence[Ids], maps: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits (n, C), summaries (n, W) and, with `maps`, what the pooling puts on each token of each row."""
    network, prepare = teacher.network.eval(), teacher.preprocessing
    logits: dict[int, Tensor] = {}
    summaries: dict[int, Tensor] = {}
    looked: dict[int, Tensor] = {}
    with torch.no_grad():
        for numbers in bucket_batches(prepare.lengths(rows), _BATCH_ROWS, shuffle=False):
            with ExitStack() as stack:
                summary = stack.enter_context(summarized(network))
                seen = stack.enter_context(tapped(network)) if maps else []
                found = network(*prepare.collate([rows[number] for number in numbers]))
            weights = _pooled(seen) if maps else None
            for place, number in enumerate(numbers):
                logits[number], summaries[number] = found[place], summary[-1][place]
                if weights is not None:
                    looked[number] = weights[place, : len(rows[number])].clone()
    order = range(len(rows))
    return (
        torch.stack([logits[number] for number in order]),
        torch.stack([summaries[number] for number in order]),
        [looked[number] for number in order] if maps else [],
    )


def _pooled(seen: Sequence[Seen]) -> Tensor:
    """What the pooling puts on each token, (B, T), the mean over heads and queries."""
    pooling = next(one for one in reversed(seen) if one.name.endswith("summary.pooling"))
    check_shares(pooling)
    return pooling.matrix().mean((1, 2))


def _record(root: Path, paths: Sequence[str]) -> None:
    weights = {path: Path(path) / "model" / "weights.safetensors" for path in paths}
    told = [{"path": str(Path(path).absolute()), "weights_sha256": file_sha256(weights[path])} for path in paths]

    def record() -> None:
        place = root / TEACHER
        if place.exists():
            before = [one["weights_sha256"] for one in read_record(place)["teachers"]]
            if before != [one["weights_sha256"] for one in told]:
                raise UsageError(
                    f"the teacher of {root} changed since the run was begun; put it back, or train anew without "
                    "--resume"
                )
        else:
            write_record(place, {"teachers": told})

    current().lead(record)
