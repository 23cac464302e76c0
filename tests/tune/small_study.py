"""A study small enough to be tuned in seconds, and what listens to it."""

from pathlib import Path
from typing import Any

from attnkit.train.events import Event
from tests.train.small import SMALL, small_data

SPACE: dict[str, Any] = {
    "train.learning_rate": {"low": 0.002, "high": 0.05, "log": True},
    "model.embedding_width": [4, 8],
}
SETTINGS: dict[str, Any] = {
    **{name: value for name, value in SMALL.items() if name not in ("learning_rate", "embedding_width")},
    "encoder": "none",
    "space": SPACE,
    "sampler": "random",
    "pruner": "none",
}


class Heard:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def trials(self) -> list[dict[str, Any]]:
        return [event.values for event in self.events if event.kind == "trial"]

    def said(self) -> str:
        return "\n".join(event.values["sentence"] for event in self.events if event.kind == "said")


def data(folder: Path, count: int = 100) -> Path:
    return small_data(folder, count)
