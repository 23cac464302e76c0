"""What a service may be asked, and how it answers: plain numbers, checked once."""

from dataclasses import dataclass, field

from attnkit.capture.size import size_bytes
from attnkit.errors import UsageError


@dataclass(frozen=True)
class Batching:
    """How requests are gathered: up to `rows` texts, or what came within `wait_ms` milliseconds of the first.

    `tokens` bounds the padded size (rows times width) of one computation, `queue_rows` the texts that wait.

    Raises: UsageError where a number is out of its range.
    """

    rows: int = 32
    wait_ms: float = 2.0
    tokens: int = 16_384
    queue_rows: int = 1024

    def __post_init__(self) -> None:
        _within("--batch-rows", self.rows, 1, 1024)
        _within("--wait-ms", self.wait_ms, 0, 1000)
        _within("--queue-rows", self.queue_rows, self.rows, 1_000_000)


@dataclass(frozen=True)
class Limits:
    """What one request, and one client, may ask for; 0 requests a minute is no limit.

    Raises: UsageError where a number is out of its range.
    """

    body_bytes: int = 1 << 20
    file_bytes: int = 10 << 20
    file_rows: int = 10_000
    texts: int = 256
    seconds: float = 30.0
    open_requests: int = 256
    per_minute: int = 0

    def __post_init__(self) -> None:
        _within("--max-body", self.body_bytes, 1024, 1 << 28)
        _within("--max-file", self.file_bytes, 1024, 1 << 30)
        _within("--timeout", self.seconds, 0.1, 3600)
        _within("--rate", self.per_minute, 0, 1_000_000)


@dataclass(frozen=True)
class Settings:
    """All that a service is told beside its models; `token` None asks clients for none."""

    batching: Batching = field(default_factory=Batching)
    limits: Limits = field(default_factory=Limits)
    token: str | None = field(default=None, repr=False)
    local: bool = True
    drain_seconds: float = 1.0

    def __post_init__(self) -> None:
        _within("--drain", self.drain_seconds, 0, 600)

    @property
    def texts(self) -> int:
        """The most texts of one request: more than may wait would never find room."""
        return min(self.limits.texts, self.batching.queue_rows)


def bytes_of(option: str, size: str) -> int:
    """The bytes of a size such as "1.5MB".

    Raises: UsageError where it is none.
    """
    try:
        return size_bytes(size)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _within(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(f"{option} takes a number from {least:,} to {most:,}, and got {value:,}")
