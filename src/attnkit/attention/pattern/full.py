"""Full attention: everything meets everything."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.pattern.base import Pattern
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Full(Pattern):
    """Every query meets every key.

    Picture: Full()
    ```
    ########
    ########
    ########
    ########
    ########
    ########
    ########
    ########
    ```

    Source: Bahdanau, Cho and Bengio (2015); Vaswani et al. (2017).
    Cost: T x S pairs.
    """

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """True for every pair."""
        return torch.ones_like(i == j)

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
