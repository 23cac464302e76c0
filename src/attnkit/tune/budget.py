"""The time of a study: when trials must stop so that the best setting can still be trained in full."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attnkit.tune.account import TrialLine, best_of

_WRITING_SECONDS = 3.0
_CAREFUL = 1.15


@dataclass(frozen=True)
class Budget:
    """Ends at the reading `until` of the system's clock (0: never), which the processes of a machine share.

    `trainings` is the number of trainings of a trial; `final` whether one more follows the search.
    """

    until: float = 0.0
    trainings: int = 1
    final: bool = True
    higher_is_better: bool = True
    clock: Callable[[], float] = time.time

    def left(self, lines: Sequence[TrialLine]) -> float:
        """Seconds that are left to the search: all but what the last training will take."""
        if not self.until:
            return float("inf")
        best = best_of(lines, self.higher_is_better)
        last = _CAREFUL * best.seconds / self.trainings if best is not None and self.final else 0.0
        return self.until - self.clock() - last - _WRITING_SECONDS

    def over(self, lines: Sequence[TrialLine]) -> bool:
        """True where trials must stop."""
        return bool(self.until) and self.left(lines) <= 0

    def too_late(self, lines: Sequence[TrialLine]) -> bool:
        """True where no trial that is begun now would end in time: none of those so far was as quick."""
        if not self.until:
            return False
        quickest = min((line.seconds for line in lines if line.state in ("complete", "pruned")), default=0.0)
        return self.left(lines) < quickest

    def to_text(self) -> str:
        """As a word of a command line."""
        return f"{self.until!r},{self.trainings},{int(self.final)},{int(self.higher_is_better)}"

    @classmethod
    def from_text(cls, text: str) -> "Budget":
        """Read what `to_text` gave."""
        until, trainings, final, higher = text.split(",")
        return cls(float(until), int(trainings), bool(int(final)), bool(int(higher)))
