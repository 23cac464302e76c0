"""One service: its models, its queue, what it counts, and whether it is stopping."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from attnkit.errors import UsageError
from attnkit.serve.answerer import Answerer
from attnkit.serve.batcher import Batcher
from attnkit.serve.feedback import Feedback
from attnkit.serve.live import Learning, Live
from attnkit.serve.metrics import Metrics
from attnkit.serve.rate import RateLimit
from attnkit.serve.settings import Settings
from attnkit.train.predictor import Text


class Phase(Enum):
    """Serving; draining (answers everything and says that it is not ready); stopping (nobody new can connect)."""

    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass
class Service:
    """What all requests share; `accepted` and `answered` are equal whenever nothing is under way."""

    models: dict[str, Answerer]
    settings: Settings
    feedback: Feedback | None = None
    live: Live | None = None
    phase: Phase = Phase.SERVING
    accepted: int = 0
    answered: int = 0
    held_bytes: int = 0
    batcher: Batcher = field(init=False)
    metrics: Metrics = field(init=False)
    rate: RateLimit = field(init=False)
    learning: Learning | None = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self.in_flight)
        self.batcher = Batcher(self.settings.batching, self.metrics.computed)
        self.rate = RateLimit(self.settings.limits.per_minute)
        self.learning = None if self.live is None else Learning(self.live, self.batcher)

    @property
    def in_flight(self) -> int:
        """Requests accepted and not yet answered."""
        return self.accepted - self.answered

    @property
    def ready(self) -> bool:
        """True where a load balancer should send requests here."""
        return self.phase is Phase.SERVING and self.batcher.alive and not self.batcher.full

    def start(self) -> None:
        """Begin to compute, with every model warmed up.

        Raises: whatever a model raises on the largest batch it may meet.
        """
        self.batcher.start(list(self.models.values()))
        if self.learning is not None:
            self.learning.begin()

    def model(self, name: str | None) -> Answerer:
        """The model of that name, the main one for None.

        Raises: UsageError naming those there are.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise UsageError(f"there is no model of that name here; there are {', '.join(self.models)}")
        return self.models[name]


def texts_of(model: Answerer, given: Sequence[str | list[str]]) -> list[Text]:
    """The texts of a request as the model reads them.

    Raises: UsageError where a pair is given to a model of single texts, or the other way round.
    """
    found: list[Text] = []
    for number, one in enumerate(given, 1):
        where = "text" if len(given) == 1 else f"text {number}"
        if model.paired and isinstance(one, str):
            raise UsageError(f"{model.name} reads pairs of texts and {where} is a single one; give a list of two")
        if not model.paired and not isinstance(one, str):
            raise UsageError(f"{model.name} reads single texts and {where} is a pair; give one string")
        found.append(one if isinstance(one, str) else (one[0], one[1]))
    return found
