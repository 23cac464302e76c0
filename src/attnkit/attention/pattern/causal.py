"""Causal attention: no query meets a later key."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Causal(Pattern):
    """Query at i meets keys at j <= i; with T != S the last query stands at the last key.

    Picture: Causal()
    ```
    #.......
    ##......
    ###.....
    ####....
    #####...
    ######..
    #######.
    ########
    ```

    Source: Vaswani et al. (2017), section 3.2.3.
    Cost: T x (T + 1) / 2 pairs of a square map.
    """

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """j <= i."""
        return j <= i

    def reach(self, first: int, last: int) -> Reach:
        """Up to the last query."""
        return None, last

    @property
    def causal(self) -> bool:
        """True by definition."""
        return True

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
