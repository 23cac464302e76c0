"""frontier.json: what a search has tried, trained and kept, written after each step, so that it can go on."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.record import read_record, write_record
from attnkit.shrink.frontier.structure import Structure

FILE = "frontier.json"


@dataclass(frozen=True)
class Tried:
    """A structure as it is before any training: its weights, its multiply-adds a token, and how far its predictions for
    validation rows `moved`: their divergence from those of the parent. A loss would not do, since it falls where a
    network that is too sure is damped.
    """

    structure: Structure
    moved: float
    parameters: int
    work: int


@dataclass(frozen=True)
class Trained:
    """A structure that was trained on a little: the run, and the validation figure of its float weights."""

    structure: Structure
    run: str
    value: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """A trained structure, or the whole one, in some numbers, in memory: its bytes on disk, its validation figure.

    `ratio` is its processor time for a text alone over the parent's, where time is the target.
    """

    structure: Structure
    numbers: str
    source: str
    disk_bytes: int
    value: float
    ratio: float | None = None


@dataclass(frozen=True)
class Kept:
    """A point: a run, its bytes on disk, processor milliseconds a text in batches of 1 and of 32, and its figures.

    `difference` is (value, low, high) of its figure less the parent's on the same validation rows, paired. `ratios` are
    its milliseconds over the parent's, which were taken in turns with it. `test` is (value, low, high), read once.
    """

    name: str
    run: str
    structure: Structure
    numbers: str
    disk_bytes: int
    milliseconds: tuple[float, float]
    ratios: tuple[float, float]
    value: float
    low: float
    high: float
    difference: tuple[float, float, float]
    test: tuple[float, float, float] | None = None


@dataclass
class Account:
    """Everything that is known of a search."""

    parent: str
    parent_sha256: str
    target: str
    max_loss: float
    measure: str
    higher_is_better: bool
    validation_rows: int
    before: dict[str, Any]
    epochs: int = 1
    seconds: float = 0.0
    state: str = "searching"
    said: str = ""
    tried: list[Tried] = field(default_factory=list)
    trained: list[Trained] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write it down, in one step."""
        write_record(folder / FILE, asdict(self))

    def lost(self, value: float) -> float:
        """What the figure `value` is worse than the parent's by; below 0 where it is better."""
        before = float(self.before["value"])
        return before - value if self.higher_is_better else value - before

    @classmethod
    def load(cls, folder: Path) -> "Account":
        """The account in `folder`.

        Raises: UsageError where there is none, or it is damaged.
        """
        values = read_record(folder / FILE)
        try:
            values.pop("format")
            made = cls(**{**values, "tried": [], "trained": [], "measured": [], "kept": []})
            made.tried = [Tried(**_held(one)) for one in values["tried"]]
            made.trained = [Trained(**_held(one)) for one in values["trained"]]
            made.measured = [Measured(**_held(one)) for one in values["measured"]]
            made.kept = [Kept(**_held(one)) for one in values["kept"]]
        except (KeyError, TypeError) as error:
            raise UsageError(f"{folder / FILE} lacks or misstates {error}; begin the search anew") from None
        return made


def _held(one: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in one.items()}
    return {**plain, "structure": Structure(**one["structure"])}
