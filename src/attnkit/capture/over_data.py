"""Statistics over a whole data set: of each head the mean, the spread and where most of its queries lie."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.sketch import Sketch
from attnkit.capture.statistics import STATISTICS

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Summary:
    """One statistic of one layer over everything added, by head: `count` real tokens, `mean`, `spread`, `quantiles`.

    `spread` is the standard deviation over tokens. `quantiles` (H, 5) are at 5, 25, 50, 75 and 95 %, exact where
    `exact`, else off by `rank_error` in rank at most.
    """

    count: int
    mean: Tensor
    spread: Tensor
    quantiles: Tensor
    exact: bool
    rank_error: float


class OverData:
    """Adds captures up, one at a time; what it holds does not grow with them.

    Means and spreads are running ones in float64. Quantiles are exact up to `most` tokens a head, and beyond that those
    of a sketch of at most `most` of them a level, which is merged without chance: the same captures in the same order
    give the same numbers.

    Source: Welford (1962) and Chan, Golub and LeVeque (1979) for the running spread; Manku, Rajagopalan and Lindsay
        (1998) for the sketch.
    Cost: the sorting of what is added; memory layers x statistics x heads x most x log2(tokens / most) numbers.
    """

    def __init__(self, most: int = 2048) -> None:
        if most < 8 or most % 2:
            raise ValueError(f"most must be an even number of at least 8; got {most}")
        self.most = most
        self.captures = 0
        self._held: dict[tuple[str, str], _Running] = {}
        self._reasons: dict[tuple[str, str], str] = {}

    def add(self, capture: Capture) -> None:
        """Count the real tokens of one capture's layers; a layer is known by its name.

        Raises: ValueError where a layer has other heads than before.
        """
        for layer in capture.layers:
            for name in layer.statistics:
                held = self._held.get((layer.name, name))
                if held is not None and held.heads != layer.heads:
                    raise ValueError(
                        f"layer {layer.name!r} has {layer.heads} heads here and had {held.heads} before; "
                        "add captures of one model to an OverData"
                    )
        for layer in capture.layers:
            for name in layer.statistics:
                key = layer.name, name
                self._held.setdefault(key, _Running(layer.heads, self.most)).add(_real_values(layer, name))
            self._reasons |= {(layer.name, name): reason for name, reason in layer.undefined.items()}
        self.captures += 1

    def merge(self, other: "OverData") -> None:
        """Add what another one has counted, of the same model.

        Raises: ValueError where the two keep sketches of different sizes, or a layer has other heads.
        """
        if other.most != self.most:
            raise ValueError(f"sketches of {self.most} and of {other.most} do not merge; make both with one size")
        for key, held in other._held.items():
            mine = self._held.get(key)
            if mine is not None and mine.heads != held.heads:
                raise ValueError(f"layer {key[0]!r} has {held.heads} heads there and {mine.heads} here")
        for key, held in other._held.items():
            self._held.setdefault(key, _Running(held.heads, self.most)).merge(held)
        self._reasons |= other._reasons
        self.captures += other.captures

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that were added, in the order they came."""
        return tuple(dict.fromkeys(layer for layer, _ in (*self._held, *self._reasons)))

    def summary(self, layer: str, name: str) -> Summary:
        """One statistic of one layer.

        Raises: KeyError with the reason, or the names there are, where nothing was counted.
        """
        held = self._held.get((layer, name))
        if held is None:
            reason = self._reasons.get((layer, name))
            there = f"layers {', '.join(self.layers)}; statistics {', '.join(STATISTICS)}"
            raise KeyError(f"{name} of {layer} is undefined: {reason}" if reason else f"nothing was counted; {there}")
        return held.summary()

    def summaries(self) -> Iterator[tuple[str, str, Summary]]:
        """Layer, statistic and summary of all that was counted."""
        for (layer, name), held in self._held.items():
            yield layer, name, held.summary()


class _Running:
    """Count, mean and squared deviations by head, and a sketch."""

    def __init__(self, heads: int, most: int) -> None:
        self.heads = heads
        self.count = 0
        self.mean = torch.zeros(heads, dtype=torch.float64)
        self.squares = torch.zeros(heads, dtype=torch.float64)
        self.sketch = Sketch(heads, most)

    def add(self, values_HN: Tensor) -> None:
        """More numbers of each head."""
        if values_HN.shape[1]:
            wide = values_HN.double()
            mean = wide.mean(-1)
            self._join(values_HN.shape[1], mean, (wide - mean[:, None]).square().sum(-1))
            self.sketch.add(values_HN)

    def merge(self, other: "_Running") -> None:
        """What another has counted."""
        if other.count:
            self._join(other.count, other.mean, other.squares)
            self.sketch.merge(other.sketch)

    def _join(self, count: int, mean: Tensor, squares: Tensor) -> None:
        whole = self.count + count
        step = mean - self.mean
        self.squares = self.squares + squares + step.square() * (self.count * count / whole)
        self.mean = self.mean + step * (count / whole)
        self.count = whole

    def summary(self) -> Summary:
        """As it stands."""
        spread = (self.squares / max(1, self.count)).sqrt()
        quantiles = self.sketch.quantiles(QUANTILES)
        sketch = self.sketch
        return Summary(self.count, self.mean.float(), spread.float(), quantiles, sketch.exact, sketch.rank_error)


def _real_values(layer: CapturedLayer, name: str) -> Tensor:
    """(H, N): the numbers of real tokens of all items, item by item."""
    values = layer.statistics[name]
    keep = layer.key_keep if STATISTICS[name].axis == "key" else layer.query_keep
    if keep is not None and STATISTICS[name].axis == "query" and layer.rows is not None:
        keep = keep[:, layer.rows]
    if keep is None:
        return values.transpose(0, 1).flatten(1)
    return torch.cat([values[item][:, keep[item]] for item in range(layer.batch)], dim=-1)
