"""The metrics once more, in plain Python, as their textbooks print them."""

import math
from collections.abc import Sequence


def precision_recall_f1(truth: Sequence[bool], guess: Sequence[bool]) -> tuple[float, float, float]:
    hits = sum(t and g for t, g in zip(truth, guess, strict=True))
    precision = hits / sum(guess) if sum(guess) else 0.0
    recall = hits / sum(truth) if sum(truth) else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, f1


def average_precision(truth: Sequence[bool], scores: Sequence[float]) -> float:
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [s >= threshold for s in scores]
        precision, recall, _ = precision_recall_f1(truth, chosen)
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


def calibration_error(confidence: Sequence[float], right: Sequence[bool], bins: int = 15) -> float:
    total = 0.0
    for b in range(bins):
        rows = [i for i, p in enumerate(confidence) if b / bins < p <= (b + 1) / bins]
        if rows:
            accuracy = sum(right[i] for i in rows) / len(rows)
            sure = sum(confidence[i] for i in rows) / len(rows)
            total += len(rows) / len(right) * abs(accuracy - sure)
    return total


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    a, b = [v - mean(x) for v in x], [v - mean(y) for v in y]
    below = math.sqrt(sum(v * v for v in a) * sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / below if below else 0.0


def midranks(values: Sequence[float]) -> list[float]:
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    return pearson(midranks(x), midranks(y))


def mae(truth: Sequence[float], guess: Sequence[float]) -> float:
    return mean([abs(t - g) for t, g in zip(truth, guess, strict=True)])


def rmse(truth: Sequence[float], guess: Sequence[float]) -> float:
    return math.sqrt(mean([(t - g) ** 2 for t, g in zip(truth, guess, strict=True)]))


def r2(truth: Sequence[float], guess: Sequence[float]) -> float:
    spread = sum((t - mean(truth)) ** 2 for t in truth)
    return 1 - sum((t - g) ** 2 for t, g in zip(truth, guess, strict=True)) / spread if spread else 0.0
