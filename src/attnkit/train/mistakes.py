"""The worst mistakes of a model: the rows it was surest of and wrong about, with where it looked in each."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from attnkit.data.examples import Example
from attnkit.data.labels import Label
from attnkit.errors import UsageError
from attnkit.page.excerpt import Piece
from attnkit.page.report_mistakes import Mistake
from attnkit.run.directory import Run
from attnkit.task.base import Prediction
from attnkit.train.evaluation import evaluate
from attnkit.train.predictor import Predictor, Text, load
from attnkit.train.shading import shading

Confused = tuple[str, str, int]
MISSED, NOT_TRUE = "(not predicted)", "(not true)"


@dataclass(frozen=True)
class Mistakes:
    """The worst mistakes among `rows` rows, `wrong` of them mistaken (None: scores), and the frequent confusions.

    `confused` holds (true label, predicted label, rows), the most frequent first; for texts of several labels one of
    the two says that it was not predicted, or is not true.
    """

    run: str
    protocol: str
    rows: int
    wrong: int | None
    worst: list[Mistake]
    confused: list[Confused]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a text is one string, and `looked` its weighed pieces."""
        return {
            "run": self.run,
            "protocol": self.protocol,
            "rows": self.rows,
            "wrong": self.wrong,
            "worst": [plain_mistake(one) for one in self.worst],
            "confused": [{"true": truth, "predicted": guess, "rows": n} for truth, guess, n in self.confused],
        }


def mistakes(
    run: str | os.PathLike[str] | Run,
    data: str | os.PathLike[str] | None = None,
    *,
    count: int = 20,
    allow_code: bool = False,
) -> Mistakes:
    """The `count` worst mistakes of a run on `data`, or on its own test rows where the data still stands.

    Raises: UsageError as `evaluate` does, and where the run is a language model.
    """
    opened = Run.open(run)
    if opened.recipe.model.language != "none":
        raise UsageError(f"{opened.path} predicts words and no labels, so no row is wrong; `attn evaluate` measures it")
    found = evaluate(opened, data, allow_code=allow_code)
    predictor = load(opened, allow_code=allow_code)
    worst = worst_mistakes(predictor, found.examples, found.predictions, count)
    wrong = count_wrong(found.examples, found.predictions)
    confused = confusions(found.examples, found.predictions)
    return Mistakes(str(opened.path), found.protocol, len(found.examples), wrong, worst, confused)


def worst_mistakes(
    predictor: Predictor, examples: Sequence[Example], predictions: Sequence[Prediction], count: int
) -> list[Mistake]:
    """The `count` worst of the rows, the worst first, each with where the pooling looked."""
    wrong = [
        (by, example, prediction)
        for example, prediction in zip(examples, predictions, strict=True)
        if (by := wrong_by(example.label, prediction)) > 0
    ]
    wrong.sort(key=lambda entry: -entry[0])
    return [_mistake(predictor, by, example, prediction) for by, example, prediction in wrong[:count]]


def wrong_by(label: Label, prediction: Prediction) -> float:
    """How bad a prediction is, 0 where it is right.

    One label: the probability of the wrong one that was predicted; several: the largest |probability - truth| of a
    label on the wrong side; a score: its distance from the true one.
    """
    if isinstance(label, float | int):
        return abs(float(prediction.label) - float(label))  # type: ignore[arg-type]
    if isinstance(label, tuple):
        wrong = set(label) ^ set(prediction.label)  # type: ignore[arg-type]
        return max((abs(prediction.probabilities[name] - (name in label)) for name in wrong), default=0.0)
    return 0.0 if prediction.label == label else float(prediction.probability or 0.0)


def count_wrong(examples: Sequence[Example], predictions: Sequence[Prediction]) -> int | None:
    """How many rows were predicted wrong; None for scores."""
    if any(isinstance(example.label, float | int) for example in examples):
        return None
    return sum(wrong_by(example.label, one) > 0 for example, one in zip(examples, predictions, strict=True))


def confusions(examples: Sequence[Example], predictions: Sequence[Prediction], most: int = 20) -> list[Confused]:
    """(true, predicted, rows) of what was mistaken for what, the most frequent first; nothing for scores."""
    seen: Counter[tuple[str, str]] = Counter()
    for example, prediction in zip(examples, predictions, strict=True):
        if isinstance(example.label, tuple):
            given = set(prediction.label)  # type: ignore[arg-type]
            seen.update((name, MISSED) for name in example.label if name not in given)
            seen.update((NOT_TRUE, str(name)) for name in given - set(example.label))
        elif isinstance(example.label, str) and example.label != prediction.label:
            seen[example.label, str(prediction.label)] += 1
    ranked = sorted(seen.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(truth, guess, rows) for (truth, guess), rows in ranked[:most]]


def plain_mistake(one: Mistake) -> dict[str, Any]:
    """A mistake as plain data: its text as one string, and the weighed pieces apart."""
    plain = asdict(one)
    pieces = plain.pop("pieces")
    plain["text"] = "".join(text for text, _ in pieces)
    plain["looked"] = [{"token": text, "weight": weight} for text, weight in pieces if weight is not None]
    return plain


def _mistake(predictor: Predictor, by: float, example: Example, prediction: Prediction) -> Mistake:
    pieces, cut, unshaded = _looked(predictor, example)
    label = example.label
    true = prediction.probabilities.get(label) if isinstance(label, str) else None
    return Mistake(
        place=example.place,
        truth=_as_text(label),
        predicted=_as_text(prediction.label),
        wrong_by=by,
        probability=prediction.probability,
        true_probability=true,
        pieces=pieces,
        cut=cut,
        unshaded=unshaded,
    )


def _looked(predictor: Predictor, example: Example) -> tuple[tuple[Piece, ...], int, str]:
    text: Text = (example.text, example.pair or "") if predictor.paired else example.text
    try:
        shaded = shading(predictor, text)
    except (ValueError, RuntimeError, LookupError) as error:
        # A model that predicts but cannot be looked into still has its mistakes.
        whole = example.text if example.pair is None else f"{example.text}\n{example.pair}"
        return ((whole, None),), 0, str(error)
    return shaded.pieces, shaded.cut, ""


def _as_text(label: object) -> str:
    if isinstance(label, tuple):
        return ", ".join(label) or "(none)"
    return f"{label:.4g}" if isinstance(label, float) else str(label)
