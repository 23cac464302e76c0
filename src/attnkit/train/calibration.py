"""How often each confidence of a finished training came true, for its record and its report."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.task.metrics.calibration import reliability
from attnkit.train.single import Results


def calibration(results: Results) -> dict[str, Any] | None:
    """What a row is, the bins of the reliability diagram, and the expected calibration error; None without classes.

    On test rows, or on validation rows where there are none. Of texts with several labels each label counts as a row:
    its probability, and whether it is true.
    """
    if results.task.kind in ("score", "language"):
        return None
    if results.test_logits is not None and results.test_targets is not None:
        logits, targets, part = results.test_logits, results.test_targets, "test"
    elif results.judged is not None:
        rows, logits = results.judged
        targets, part = results.task.targets(rows), "validation"
    else:
        return None
    chances = np.array([list(one.probabilities.values()) for one in results.task.predict(logits)])
    truth = targets.cpu().numpy()
    if results.task.kind == "multi":
        return _record(chances.ravel(), truth.ravel() > 0.5, f"labels of {part} rows")
    return _record(chances.max(axis=1), chances.argmax(axis=1) == truth, f"{part} rows")


def _record(confidence: NDArray[np.float64], right: NDArray[np.bool_], rows: str) -> dict[str, Any]:
    bins = reliability(confidence, right)
    gaps = [one["n"] * abs(one["right"] - one["confidence"]) for one in bins if one["n"]]  # type: ignore[operator]
    return {"rows": rows, "error": float(sum(gaps)) / len(confidence), "bins": bins}
