"""A sketch of many numbers from which their quantiles can be read, within a bound that it knows."""

import torch
from torch import Tensor


class Sketch:
    """Of `heads` sets of numbers at once: at most `most` numbers at each level, one at level l standing for 2^l.

    A level that is full is sorted and every second number of it moves up, by turns the odd and the even ones, so that
    there is no chance in it. Exact until the first level was full. Each such step moves no rank by more than 2^l, and
    what stands for many has its own rank in their middle: that adds up to `rank_error`.

    Source: Munro and Paterson (1980); Manku, Rajagopalan and Lindsay (1998), One-pass medians, section 3.
    Cost: log2(numbers / most) levels of `most` numbers a head.
    """

    def __init__(self, heads: int, most: int) -> None:
        self.heads, self.most = heads, most
        self.count = 0
        self._levels: list[Tensor] = []
        self._turns: list[int] = []
        self._error = 0

    @property
    def exact(self) -> bool:
        """True where every number is still there."""
        return self._error == 0

    @property
    def rank_error(self) -> float:
        """The most that a quantile may be off, as a share of all numbers."""
        lost = 0 if self.exact else self._error + 2 ** (len(self._levels) - 1)
        return lost / max(1, self.count)

    def add(self, values_HN: Tensor) -> None:
        """More numbers of each set."""
        self.count += values_HN.shape[1]
        for some in values_HN.float().split(self.most, dim=1):
            self._put(0, some)

    def merge(self, other: "Sketch") -> None:
        """All that another one holds, and what it has lost."""
        self.count += other.count
        self._error += other._error
        for level, held in enumerate(other._levels):
            self._put(level, held)

    def quantiles(self, shares: tuple[float, ...]) -> Tensor:
        """(H, shares): as torch.quantile has them, where every number is there, else the nearest; NaN of nothing."""
        if not self.count:
            return torch.full((self.heads, len(shares)), float("nan"))
        at = torch.tensor(shares, dtype=torch.float64)
        if self.exact:
            return torch.quantile(self._levels[0].double(), at, dim=1).mT.float()
        values, order = torch.cat(self._levels, dim=1).sort(dim=1)
        each = torch.cat([torch.full((held.shape[1],), 2.0**level) for level, held in enumerate(self._levels)])
        weights = each.double()[order]
        # The middle of what a number stands for is its rank.
        middles = (weights.cumsum(1) - weights / 2.0) / weights.sum(1, keepdim=True)
        place = torch.searchsorted(middles, at.expand(self.heads, -1).contiguous()).clamp(max=values.shape[1] - 1)
        return values.gather(1, place)

    def _put(self, level: int, values_HN: Tensor) -> None:
        while len(self._levels) <= level:
            self._levels.append(torch.zeros(self.heads, 0))
            self._turns.append(0)
        held = torch.cat([self._levels[level], values_HN], dim=1)
        if held.shape[1] <= self.most:
            self._levels[level] = held
            return
        # An even number goes up, so that what is left stands for itself.
        full = held[:, : held.shape[1] // 2 * 2].sort(dim=1).values
        self._levels[level] = held[:, full.shape[1] :]
        up = full[:, self._turns[level] :: 2]
        self._turns[level] = 1 - self._turns[level]
        self._error += 2**level
        self._put(level + 1, up)
