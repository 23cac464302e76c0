"""One measured figure and how it was measured."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from attnkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its 95 % interval `low..high`, the number of rows `n` it stands on and the protocol in words.

    Measures of one class ("recall:positive") give that class's own row count as `n`.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    protocol: str

    def to_dict(self) -> dict[str, str | float | int]:
        """Give plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> "Measure":
        """Read what `to_dict` gave.

        Raises: UsageError where a field is missing, unknown or no finite number.
        """
        names = [field.name for field in fields(cls)]
        if sorted(plain) != sorted(names):
            raise UsageError(f"A measure has the fields {', '.join(names)}; this one has {', '.join(plain) or 'none'}.")
        numbers = {}
        for name in ("value", "low", "high", "n"):
            number = plain[name]
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise UsageError(f"The field {name} of a measure must be a finite number, not {number!r}.")
            numbers[name] = number
        return cls(
            str(plain["name"]),
            float(numbers["value"]),
            float(numbers["low"]),
            float(numbers["high"]),
            int(numbers["n"]),
            str(plain["protocol"]),
        )

    def __str__(self) -> str:
        """Print as "accuracy 0.9122 [0.9087, 0.9157], n = 25000"."""
        return f"{self.name} {self.value:.4f} [{self.low:.4f}, {self.high:.4f}], n = {self.n}"
