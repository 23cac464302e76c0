"""Fixed attention: the own block, and the last tokens of every block."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Fixed(Pattern):
    """Query at i meets its own block, floor(j/stride) = floor(i/stride), and the last `summaries` keys of every block.

    With `causal` j <= i too, as in Sparse Transformers: the last tokens of a block pass on what the block holds.

    Picture: Fixed(4, causal=True)
    ```
    #.......
    ##......
    ###.....
    ####....
    ...##...
    ...###..
    ...####.
    ...#####
    ```

    Raises: ValueError where `stride` is below one or `summaries` not in 1..stride.
    Source: Child et al. (2019), Generating long sequences with sparse transformers, section 4.2, fixed attention.
    Cost: T x (stride + S x summaries / stride) pairs.
    """

    stride: int
    summaries: int = 1
    causal: bool = False

    def __post_init__(self) -> None:
        require(self.stride >= 1, self, "stride", "at least 1")
        require(1 <= self.summaries <= self.stride, self, "summaries", f"in 1..{self.stride}")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Same block, or j mod stride >= stride - summaries."""
        pairs = (i // self.stride == j // self.stride) | (j % self.stride >= self.stride - self.summaries)
        return pairs & (j <= i) if self.causal else pairs

    def reach(self, first: int, last: int) -> Reach:
        """Up to the last query where causal."""
        return None, last if self.causal else None

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
