"""Whether a shipped model answers as its run does: one proof for every target."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnkit.bundle.artefact import Artefact
from attnkit.bundle.predictions import predictions
from attnkit.data.encoding import Text
from attnkit.data.examples import Example
from attnkit.errors import FailedError, UsageError
from attnkit.ship.cases import Case, cases, read_tokens
from attnkit.task.metrics import Measure
from attnkit.train.predictor import Predictor

# By how much logits may differ, as a share of the largest logit of the texts, and at least of 1. Of int8 one scale
# serves all numbers of a batch, so what a text is answered moves with what stands beside it.
BUDGETS = {"float32": 1e-5, "float16": 0.005, "bfloat16": 0.02, "int8": 0.05}
MAX_LOSS = 0.01
_SAME = 1e-6
_LOOKS = 3


@dataclass(frozen=True)
class Compared:
    """One case: its texts, tokens of the longest, the largest difference of a logit, and the labels that changed."""

    name: str
    rows: int
    tokens: int
    largest: float
    allowed: float
    changed: int


@dataclass(frozen=True)
class Rows:
    """Labeled rows of an evaluation split, and how they were chosen; or why there are none."""

    examples: Sequence[Example] = ()
    protocol: str = ""
    missing: str = ""


@dataclass
class Verification:
    """All that was compared. `problems` holds a sentence for whatever must not be shipped."""

    budget: float
    compared: list[Compared] = field(default_factory=list)
    measure: str = ""
    higher_is_better: bool = True
    of_run: Measure | None = None
    of_artefact: Measure | None = None
    changed_rows: int = 0
    protocol: str = ""
    floor: float | None = None
    max_loss: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True where nothing stands against shipping."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"passed": self.passed, **asdict(self)}

    def require(self, what: str) -> None:
        """Hold to nothing standing against it.

        Raises: FailedError with every reason.
        """
        if not self.passed:
            raise FailedError(f"{what} does not answer as its run does: {'; '.join(self.problems)}")


def verify(
    predictor: Predictor,
    artefact: Artefact,
    rows: Rows,
    *,
    budget: float,
    floor: float | None = None,
    max_loss: float | None = None,
    trouble: Sequence[str] = (),
) -> Verification:
    """Compare what a run and what was shipped from it answer; nothing is raised for what is found.

    `floor` is the least its measure may be on `rows` (of errors the most), `max_loss` the most it may lose there:
    in the measure's own units, of errors as a share of the run's. `trouble` is what stands against it already.

    Raises: UsageError where a floor or a loss is asked for and there are no rows to measure.
    """
    found = Verification(budget, floor=floor, max_loss=max_loss, problems=list(trouble))
    texts = [_text(predictor, one) for one in rows.examples]
    _compare_contract(predictor, artefact, found)
    if found.problems:
        return found
    for case in cases(artefact.tokenizer, artefact.limits, artefact.paired, texts):
        found.compared.append(_compared(predictor, artefact, case, found))
    if artefact.contract.attention:
        _compare_attention(predictor, artefact, (texts or list(found_texts(artefact)))[:_LOOKS], found)
    if rows.examples:
        _measure(predictor, artefact, rows, texts, found)
    elif floor is not None or max_loss is not None:
        raise UsageError(f"there are no rows to hold --floor or --max-loss to: {rows.missing}")
    else:
        found.protocol = f"not measured: {rows.missing}"
    return found


def found_texts(artefact: Artefact) -> tuple[Text, ...]:
    """Texts to look at where the run has none."""
    return cases(artefact.tokenizer, artefact.limits, artefact.paired)[-1].texts


def _text(predictor: Predictor, example: Example) -> Text:
    return (example.text, example.pair or "") if predictor.paired else example.text


def _compare_contract(predictor: Predictor, artefact: Artefact, found: Verification) -> None:
    """The same logits must mean the same: classes in their order, the scale of scores, the limits."""
    contract = artefact.contract
    if contract.kind != predictor.task.kind or contract.paired != predictor.paired:
        found.problems.append(f"it is for {contract.kind} labels and the run for {predictor.task.kind} ones")
        return
    if asdict(contract.limits) != predictor.preprocessing.limits():
        found.problems.append("it reads another part of a text than its run")
    outputs = max(1, len(predictor.classes))
    shown = np.random.default_rng(0).normal(size=(2 * outputs, outputs)).astype(np.float32)
    for told, wanted in zip(predictions(shown, contract), predictor.task.predict(torch.from_numpy(shown)), strict=True):
        if not _means_the_same(told, wanted.to_dict()):
            found.problems.append(
                f"its labels mean others: {told['label']!r} is said where the run says {wanted.label!r}"
            )
            return


def _means_the_same(told: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if isinstance(wanted["label"], float):
        return bool(abs(told["label"] - wanted["label"]) <= _SAME * max(1.0, abs(wanted["label"])))
    probabilities = wanted["probabilities"]
    return (
        told["label"] == wanted["label"]
        and told["probabilities"].keys() == probabilities.keys()
        and all(abs(told["probabilities"][name] - p) <= _SAME for name, p in probabilities.items())
    )


def _compared(predictor: Predictor, artefact: Artefact, case: Case, found: Verification) -> Compared:
    texts = list(case.texts)
    wanted = predictor.logits(texts, case.batch_rows).numpy()
    given = artefact.logits(texts, case.batch_rows)
    allowed = found.budget * max(1.0, float(np.abs(wanted).max()))
    largest = float(np.abs(given - wanted).max()) if np.isfinite(given).all() else float("inf")
    if largest > allowed:
        found.problems.append(f"logits differ by {largest:.2g} on {case.name!r}, where {allowed:.2g} is allowed")
    tokens = read_tokens(artefact.tokenizer, artefact.limits, artefact.paired, case)
    changed = _changed(wanted, given, artefact) if np.isfinite(given).all() else len(texts)
    return Compared(case.name, len(texts), tokens, largest, allowed, changed)


def _changed(wanted: "np.ndarray[Any, Any]", given: "np.ndarray[Any, Any]", artefact: Artefact) -> int:
    """How many labels differ; a score has none."""
    if artefact.kind == "score":
        return 0
    both = zip(predictions(wanted, artefact.contract), predictions(given, artefact.contract), strict=True)
    return sum(one["label"] != other["label"] for one, other in both)


def _compare_attention(predictor: Predictor, artefact: Artefact, texts: Sequence[Text], found: Verification) -> None:
    for text in texts:
        wanted, given = predictor.attention(text), artefact.attention(text)
        if given.tokens != wanted.tokens or len(given.weights) != len(wanted.weights):
            found.problems.append("attention is on other tokens than the run's")
            return
        # numpy's largest is NaN where one is, which is no less than anything.
        off = float(np.abs(np.subtract(wanted.weights, given.weights)).max(initial=0.0))
        if not off <= found.budget:
            found.problems.append(f"attention differs by {off:.2g} on a text, where {found.budget:.2g} is allowed")
            return


def _measure(predictor: Predictor, artefact: Artefact, rows: Rows, texts: list[Text], found: Verification) -> None:
    task, targets = predictor.task, predictor.task.targets(rows.examples)
    wanted, given = predictor.logits(texts), torch.from_numpy(artefact.logits(texts))
    found.measure, found.higher_is_better = task.select.measure, task.select.higher_is_better
    found.protocol = rows.protocol
    found.changed_rows = _changed(wanted.numpy(), given.numpy(), artefact)
    found.of_run = _figure(predictor, wanted, targets, found)
    found.of_artefact = _figure(predictor, given, targets, found)
    value, before = found.of_artefact.value, found.of_run.value
    if found.floor is not None and not _at_least(value, found.floor, found.higher_is_better):
        side = "below" if found.higher_is_better else "above"
        found.problems.append(f"{found.measure} is {value:.4f}, {side} the floor {found.floor:g}")
    loss = before - value if found.higher_is_better else (value - before) / max(abs(before), _SAME)
    allowed = MAX_LOSS if found.max_loss is None else found.max_loss
    if loss > allowed:
        found.problems.append(
            f"{found.measure} is {value:.4f} and the run's {before:.4f}: it loses more than {allowed:g}"
        )


def _figure(predictor: Predictor, logits: Tensor, targets: Tensor, found: Verification) -> Measure:
    return predictor.task.measure(logits, targets)[found.measure]


def _at_least(value: float, floor: float, higher_is_better: bool) -> bool:
    return value >= floor if higher_is_better else value <= floor
