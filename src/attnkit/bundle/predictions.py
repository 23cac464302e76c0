"""Logits to predictions, as plain data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.bundle.contract import Contract
from attnkit.errors import FailedError

# From this probability on a label is given, where any number may be.
THRESHOLD = 0.5


def predictions(logits_BC: NDArray[Any], contract: Contract) -> list[dict[str, Any]]:
    """For each row the label (a class, a tuple of classes, a score), its probability, and that of each class.

    Raises: FailedError where a logit is not finite.
    """
    exact = logits_BC.astype(np.float64)
    if not np.isfinite(exact).all():
        raise FailedError("The shipped model's output is not finite; look for extreme inputs, or ship the run again.")
    if contract.kind == "score":
        mean, deviation = float(contract.task["mean"]), float(contract.task["deviation"])
        return [_made(value * deviation + mean, None, {}) for value in exact[:, 0].tolist()]
    classes = contract.classes
    if contract.kind == "multi":
        rows = _sigmoid(exact).tolist()
        chosen = [tuple(name for name, p in zip(classes, row, strict=True) if p >= THRESHOLD) for row in rows]
        return [_made(c, None, dict(zip(classes, row, strict=True))) for c, row in zip(chosen, rows, strict=True)]
    rows = _softmax(exact).tolist()
    best = [max(range(len(row)), key=row.__getitem__) for row in rows]
    return [
        _made(classes[at], row[at], dict(zip(classes, row, strict=True))) for at, row in zip(best, rows, strict=True)
    ]


def _made(label: Any, probability: float | None, probabilities: dict[str, float]) -> dict[str, Any]:
    return {"label": label, "probability": probability, "probabilities": probabilities}


def _softmax(x_BC: NDArray[Any]) -> NDArray[Any]:
    weights_BC = np.exp(x_BC - x_BC.max(1, keepdims=True))
    return weights_BC / weights_BC.sum(1, keepdims=True)


def _sigmoid(x_BC: NDArray[Any]) -> NDArray[Any]:
    small_BC = np.exp(-np.abs(x_BC))
    return np.where(x_BC >= 0, 1, small_BC) / (1 + small_BC)
