"""A start: weights from elsewhere, with the network and the tokenizer that they were made for."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from attnkit.data.tokens import TextTokenizer
from attnkit.model.settings import ModelSettings
from attnkit.task.base import Task


@dataclass(frozen=True)
class Start:
    """Weights by the names our networks give them, and what says whether they mean the same in another network.

    `settings` is the network they were made for, `task` what its head answered (None where it had none), `left` names
    what stood there and has no place in our networks.
    """

    path: Path
    said: str
    tokenizer: TextTokenizer
    settings: ModelSettings
    weights: dict[str, Tensor]
    task: Task | None = None
    longest_tokens: int | None = None
    left: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> bool:
        """True where it is a checkpoint of the BERT family, not a run."""
        return self.longest_tokens is not None
