"""How well sets of labels were predicted."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score, hamming_loss, precision_recall_fscore_support

from attnkit.errors import UsageError
from attnkit.task.metrics.bootstrap import (
    RESAMPLES,
    Floats,
    affordable_resamples,
    cell_counts,
    generator_or_default,
    interval,
    protocol,
    row_counts,
)
from attnkit.task.metrics.counts import mean_of_defined, precision_recall_f1
from attnkit.task.metrics.measure import Measure
from attnkit.task.metrics.ranking import RankedClass

THRESHOLD = 0.5
KINDS = ("precision", "recall", "f1")


def label_set_measures(
    truth: NDArray[np.bool_],
    probabilities: Floats,
    classes: tuple[str, ...],
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Measure]:
    """Measure predicted probabilities (n, C) against sets of true labels (n, C); a label is predicted from 0.5 up.

    Gives subset accuracy, Hamming loss; precision, recall and F1 over all labels together ("f1_micro"), averaged over
    labels ("f1_macro") and per label ("f1:NAME"); mean average precision over the labels that occur, and per label.
    Labels that stand neither in the truth nor among the predictions are left out of means.

    Raises: UsageError where there is no row.
    """
    if truth.shape[0] == 0:
        raise UsageError("There is no row to measure; give at least one labeled row.")
    generator = generator_or_default(generator)
    guess = probabilities >= THRESHOLD
    measures = _from_wrong_labels(truth, guess, generator, resamples)
    return measures | _from_rows(truth, guess, probabilities, classes, generator, resamples)


def label_set_precision(truth: NDArray[np.bool_], probabilities: Floats) -> float:
    """Give the mean average precision over the labels that occur in truth (n, C); 0 where none does."""
    present = np.flatnonzero(truth.any(axis=0))
    scores = [average_precision_score(truth[:, c], probabilities[:, c]) for c in present]
    return float(np.mean(scores)) if scores else 0.0


def _from_wrong_labels(
    truth: NDArray[np.bool_], guess: NDArray[np.bool_], generator: np.random.Generator, resamples: int
) -> dict[str, Measure]:
    n, width = truth.shape
    drawn = cell_counts(np.bincount((truth != guess).sum(axis=1), minlength=width + 1), resamples, generator)
    subset, hamming = float(accuracy_score(truth, guess)), float(hamming_loss(truth, guess))
    wrong = drawn @ np.arange(width + 1) / (n * width)
    what, whole = "share of labels set wrong", "share of rows with exactly the right labels"
    return {
        "subset_accuracy": Measure(
            "subset_accuracy", subset, *interval(subset, drawn[:, 0] / n), n, protocol(whole, resamples)
        ),
        "hamming_loss": Measure("hamming_loss", hamming, *interval(hamming, wrong), n, protocol(what, resamples)),
    }


def _from_rows(
    truth: NDArray[np.bool_],
    guess: NDArray[np.bool_],
    probabilities: Floats,
    classes: tuple[str, ...],
    generator: np.random.Generator,
    resamples: int,
) -> dict[str, Measure]:
    n, width = truth.shape
    resamples = affordable_resamples(resamples, n, width)
    occurring, present = np.flatnonzero(truth.any(axis=0)), np.flatnonzero((truth | guess).any(axis=0))
    ranked = [RankedClass.of(truth[:, c], probabilities[:, c]) for c in occurring]
    rows = np.concatenate([truth & guess, guess, truth], axis=1).astype(np.float64)
    tallies = np.empty((resamples, 3 * width))
    ranking = np.empty((resamples, len(ranked)))
    at = 0
    for counts in row_counts(n, resamples, generator):
        here = slice(at, at + len(counts))
        tallies[here] = counts @ rows
        for column, one in enumerate(ranked):
            ranking[here, column] = one.average_precision(counts)
        at = here.stop

    measures: dict[str, Measure] = {}

    def add(name: str, value: float, resampled: Floats, count: int, what: str) -> None:
        measures[name] = Measure(name, value, *interval(value, resampled), count, protocol(what, resamples))

    hits, guessed, actual = (tallies[:, part * width : (part + 1) * width] for part in range(3))
    together = precision_recall_f1(hits.sum(1), guessed.sum(1), actual.sum(1))
    each = precision_recall_f1(hits, guessed, actual)
    micro, macro, own = _points(truth[:, present], guess[:, present])
    for kind in KINDS:
        add(f"{kind}_micro", micro[kind], np.nan_to_num(together[kind]), n, "all labels counted together")
        what = "mean over the labels seen in truth or prediction"
        add(f"{kind}_macro", macro[kind], np.nan_to_num(mean_of_defined(each[kind])), n, what)
    what = "area under precision against recall, mean over the labels seen in truth"
    mean_precision = np.nan_to_num(mean_of_defined(ranking))
    add("mean_average_precision", label_set_precision(truth, probabilities), mean_precision, n, what)
    what = "this label; n = the rows that have it"
    for kind in KINDS:
        for at, c in enumerate(present):
            add(f"{kind}:{classes[c]}", own[at][kind], each[kind][:, c], int(truth[:, c].sum()), what)
    for column, c in enumerate(occurring):
        value = float(average_precision_score(truth[:, c], probabilities[:, c]))
        add(f"average_precision:{classes[c]}", value, ranking[:, column], int(truth[:, c].sum()), what)
    return measures


def _points(
    truth: NDArray[np.bool_], guess: NDArray[np.bool_]
) -> tuple[dict[str, float], dict[str, float], list[dict[str, float]]]:
    """Give precision, recall and F1 of all labels together, averaged, and of each; 0 where there is no label."""
    width = truth.shape[1]
    if width == 0:
        nothing = dict.fromkeys(KINDS, 0.0)
        return nothing, nothing, []
    # scikit-learn takes a single column for a binary problem with the classes 0 and 1; flat, class 1 is the label.
    y, z, labels = (truth, guess, None) if width > 1 else (truth[:, 0], guess[:, 0], [True])

    def figures(average: str | None) -> list[dict[str, float]]:
        found = precision_recall_fscore_support(y, z, labels=labels, average=average, zero_division=0)[:3]
        return [dict(zip(KINDS, map(float, one), strict=True)) for one in zip(*map(np.atleast_1d, found), strict=True)]

    return figures("micro")[0], figures("macro")[0], figures(None)
