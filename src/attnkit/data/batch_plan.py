"""BatchPlan: which rows each step of each epoch reads: batches of fixed, mixed or growing sizes, or of many tokens."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from attnkit.data.batches import BATCHES_PER_POOL, bucket_batches, padded_width, random_batches

# Epochs whose batches are counted one by one; where there are more, these stand for the rest.
_COUNTED = 100


@dataclass(frozen=True)
class BatchPlan:
    """The batches of every epoch, the same whenever they are asked for; each row stands in one batch of an epoch.

    `rows` is the size of a batch, or drawn anew for each from `mix`. Where `tokens` is set, a batch is as large as that
    many padded tokens allow, and `rows` are the most. Sizes and tokens grow by the factor `growth` from epoch to epoch.
    Texts of like length stand together, out of pools of 50 batches, or, where `drawn`, any texts, the shortest first.
    The tokens of `packed` batches stand end to end; others are padded to the longest text.

    Raises: ValueError where a size is below 1, or `tokens` do not hold the longest text.
    Source: batches that grow, Smith et al. (2018), Don't decay the learning rate, increase the batch size.
    """

    lengths: Sequence[int]
    rows: int
    seed: int = 0
    packed: bool = False
    tokens: int = 0
    growth: float = 1.0
    mix: tuple[int, ...] = ()
    drawn: bool = False

    def __post_init__(self) -> None:
        smallest = min((self.rows, *self.mix))
        if smallest < 1:
            raise ValueError(
                f"a batch has at least 1 row, and {smallest} is asked for; give a positive number of rows."
            )
        longest = max(self.lengths, default=0)
        needed = self._cost(1, longest, longest)
        if 0 < self.tokens < needed:
            raise ValueError(
                f"a batch of {self.tokens} tokens does not hold the longest text, which takes {needed}; "
                "give train.batch_tokens more, or cut texts by tokens.max_tokens."
            )

    def batches(self, epoch: int) -> list[list[int]]:
        """Row numbers in the batches of an epoch, from 0."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if not (self.mix or self.tokens):
            draw = random_batches if self.drawn else bucket_batches
            return draw(self.lengths, self._size(self.rows, epoch), generator=generator)
        drawn = torch.randperm(len(self.lengths), generator=generator).tolist()
        sizes, tokens = self._sizes(epoch, generator), int(self.tokens * self._grown(epoch))
        if self.drawn:
            return [self._by_length(batch) for batch in self._cut(drawn, sizes, tokens)]
        size = self._pool(epoch)
        pools = [self._by_length(drawn[start : start + size]) for start in range(0, len(drawn), size)]
        batches = [batch for pool in pools for batch in self._cut(pool, sizes, tokens)]
        return [batches[number] for number in torch.randperm(len(batches), generator=generator).tolist()]

    def count(self, epoch: int) -> int:
        """How many batches an epoch has; drawn only where sizes are."""
        if self.mix or self.tokens:
            return len(self.batches(epoch))
        return -(-len(self.lengths) // self._size(self.rows, epoch))

    def steps(self, epochs: int) -> int:
        """Batches of the first `epochs` epochs; beyond 100 that differ, their mean stands for those that follow."""
        if not (self.mix or self.tokens or self.growth > 1):
            return epochs * self.count(0)
        counts = [self.count(epoch) for epoch in range(min(epochs, _COUNTED))]
        # What grows has become one batch by then, or nearly so.
        rest = counts[-1] if self.growth > 1 else sum(counts) / len(counts)
        return sum(counts) + round((epochs - len(counts)) * rest)

    def _by_length(self, rows: Sequence[int]) -> list[int]:
        return sorted(rows, key=lambda row: self.lengths[row])

    def _grown(self, epoch: int) -> float:
        # No batch holds more than all rows; a factor beyond that would only overflow.
        most = math.log(max(2, len(self.lengths) * max(1, self.tokens)))
        return math.exp(min(most, epoch * math.log(self.growth)))

    def _size(self, rows: int, epoch: int) -> int:
        return min(max(1, len(self.lengths)), max(1, round(rows * self._grown(epoch))))

    def _sizes(self, epoch: int, generator: torch.Generator) -> Callable[[], int]:
        if not self.mix:
            size = self._size(self.rows, epoch)
            return lambda: size
        sizes = [self._size(rows, epoch) for rows in self.mix]
        return lambda: sizes[int(torch.randint(len(sizes), (), generator=generator))]

    def _pool(self, epoch: int) -> int:
        rows = sum(self.mix) / len(self.mix) if self.mix else self.rows
        if self.tokens:
            rows = min(rows, self.tokens * len(self.lengths) / max(1, sum(self.lengths)))
        return BATCHES_PER_POOL * self._size(max(1, round(rows)), epoch)

    def _cut(self, order: Sequence[int], size: Callable[[], int], tokens: int) -> Iterator[list[int]]:
        """The rows in `order`, in batches of the next size that also keep to so many padded tokens (0: any number)."""
        batch: list[int] = []
        most, total, longest = size(), 0, 0
        for row in order:
            total, longest = total + self.lengths[row], max(longest, self.lengths[row])
            if len(batch) == most or (batch and tokens and self._cost(len(batch) + 1, total, longest) > tokens):
                yield batch
                batch, most, total, longest = [], size(), self.lengths[row], self.lengths[row]
            batch.append(row)
        if batch:
            yield batch

    def _cost(self, rows: int, total: int, longest: int) -> int:
        """Padded tokens of a batch: of its texts end to end, or side by side."""
        return padded_width(total, digits=6) if self.packed else rows * padded_width(longest)
