"""How a learner takes its steps."""

from dataclasses import asdict, dataclass
from typing import Any

from attnkit.errors import UsageError


@dataclass(frozen=True)
class LearnSettings:
    """One update reads `update_rows` rows of feedback and `replay_rows` rows seen before, `steps` times over.

    Each step is one of Adam's, begun afresh at every update, so that no number moves by much more than steps times
    `learning_rate`. An update stands where the selection measure on the guard rows stays within `max_loss` of what the
    frozen model has there. `everything` lets the encoder learn too; the embeddings of words that the rows hold, the
    pooling, the wide branch and the head always do.

    Raises: UsageError where a number is out of bounds.
    Source: replay, Robins 1995; Adam, Kingma and Ba 2015, algorithm 1 (the bound: section 2.1).
    """

    update_rows: int = 16
    replay_rows: int = 24
    steps: int = 4
    learning_rate: float = 0.001
    max_loss: float = 0.02
    guard_rows: int = 500
    everything: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("update_rows", 1), ("replay_rows", 0), ("steps", 1), ("guard_rows", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, and is {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"the learning rate of feedback must be above 0 and below 1, and is {self.learning_rate}")
        if not self.max_loss >= 0:
            raise UsageError(f"max_loss must be 0 or more, and is {self.max_loss}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)
