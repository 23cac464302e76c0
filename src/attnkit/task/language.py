"""The words of a text themselves, predicted from the words around them or before them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.task.base import Prediction, Selection, checked
from attnkit.task.metrics import Measure

Objective = Literal["masked", "causal"]
_DRAWS = 1000
_PROTOCOL = {
    "masked": "15 % of the words of a text are hidden, the same ones whenever it is measured",
    "causal": "every word but the first is predicted from those before it (of a bilstm: and from those behind it)",
}


@dataclass(frozen=True)
class LanguageModeling:
    """Predict words; logits (B, 3) hold the sum of -log p of each text, the words predicted, and those predicted right.

    There are no targets but the texts: `targets` gives zeros. A text of which no word is predicted counts nothing.

    Raises: UsageError where the objective is unknown.
    """

    objective: Objective = "masked"

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise UsageError(
                f"Words are predicted as masked or causal, not as {self.objective!r}; choose one of these."
            )

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        return "language"

    @property
    def classes(self) -> tuple[str, ...]:
        """Give no classes: the vocabulary is the tokenizer's."""
        return ()

    @property
    def outputs(self) -> int:
        """Give the width of the logits: 3."""
        return 3

    @property
    def select(self) -> Selection:
        """Choose checkpoints by perplexity, lower being better."""
        return Selection("perplexity", higher_is_better=False)

    def fitted(self, train: Sequence[Example]) -> "LanguageModeling":
        """Give the task itself: it learns nothing from labels."""
        return self

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Give zeros (B,): what is predicted stands in the texts."""
        return torch.zeros(len(examples), dtype=torch.int64)

    def class_weights(self, targets: Tensor) -> Tensor:
        """Refuse: words are no classes.

        Raises: UsageError always.
        """
        raise UsageError("Class weights were asked for, but words are predicted; leave class weights out.")

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the mean of -log p over the words that are predicted in these texts; 0 where there are none.

        Raises: UsageError where class weights or label smoothing are given.
        """
        if class_weights is not None or label_smoothing:
            raise UsageError("Class weights and label smoothing need classes, but words are predicted; leave them out.")
        return logits[:, 0].sum() / logits[:, 1].sum().clamp(min=1)

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Give the perplexity of each text: exp of its mean -log p; that of a text without a predicted word is 1."""
        return [Prediction(_exp(loss / max(count, 1)), None, {}) for loss, count, _ in checked(logits, 3).tolist()]

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure perplexity and the share of words predicted right, over all predicted words of these texts.

        Intervals are percentiles over 1,000 draws of as many texts with replacement.

        Raises: UsageError where no word is predicted; FailedError where a value is not finite.
        """
        sums = checked(logits, 3).numpy()
        loss, count, right = sums.sum(0)
        if count < 1:
            raise UsageError("There is no word to predict in these texts; give longer texts, or more of them.")
        generator = np.random.default_rng(0) if generator is None else generator
        drawn = np.stack([sums[generator.integers(len(sums), size=len(sums))].sum(0) for _ in range(_DRAWS)])
        drawn = drawn[drawn[:, 1] > 0]
        protocol = f"{int(count)} words of {len(sums)} texts; {_PROTOCOL[self.objective]}"
        measures = {
            "perplexity": (_exp(loss / count), np.exp(np.minimum(drawn[:, 0] / drawn[:, 1], _HIGHEST))),
            "word_accuracy": (right / count, drawn[:, 2] / drawn[:, 1]),
        }
        found = {}
        for name, (value, draws) in measures.items():
            low, high = np.percentile(draws, [2.5, 97.5])
            found[name] = Measure(name, float(value), float(low), float(high), len(sums), protocol)
        return found

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the perplexity.

        Raises: FailedError where a value is not finite.
        """
        loss, count, _ = checked(logits, 3).sum(0).tolist()
        return _exp(loss / max(count, 1))

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {"kind": self.kind, "objective": self.objective}


# Beyond this exp is no number of float64.
_HIGHEST = 700.0


def _exp(value: float) -> float:
    return math.exp(min(value, _HIGHEST))
