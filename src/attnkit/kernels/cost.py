"""Cost: what a kernel will take, before it runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """`multiply_adds` of one call, and `peak_bytes`: the most it holds at once beside its inputs, results included.

    Both count the backward pass and its gradients where one is to come. `map_bytes` is the part of `peak_bytes` that is
    a T x S map kept whole; zero where memory is linear in T and S.
    """

    multiply_adds: int
    peak_bytes: int
    map_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Both, held at once."""
        return Cost(
            self.multiply_adds + other.multiply_adds,
            self.peak_bytes + other.peak_bytes,
            self.map_bytes + other.map_bytes,
        )

    def __str__(self) -> str:
        number, unit = _short(self.multiply_adds, 1000, ("", "thousand", "million", "billion", "trillion"))
        size, prefix = _short(self.peak_bytes, 1024, ("", "Ki", "Mi", "Gi", "Ti"))
        work = " ".join(word for word in (f"{number:.3g}", unit, "multiply-adds") if word)
        whole = ", the map kept whole" if self.map_bytes else ""
        return f"{work}, {size:.3g} {prefix}B at the peak{whole}"


def _short(number: float, step: int, units: tuple[str, ...]) -> tuple[float, str]:
    index = 0
    while number >= step and index < len(units) - 1:
        number, index = number / step, index + 1
    return number, units[index]
