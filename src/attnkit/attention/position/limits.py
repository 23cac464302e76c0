"""Refusal of positions that a learned table does not hold."""

import torch
from torch import Tensor

from attnkit.attention.part import Part


def refuse_beyond(position: Tensor, part: Part, field: str) -> None:
    """Check that positions lie in [0, the part's `field`); skipped under compile and export, which see no values.

    Raises: ValueError naming the part, its limit, the position and the setting that would do.
    """
    if torch.compiler.is_compiling() or position.numel() == 0:
        return
    limit = getattr(part, field)
    first, last = (int(x) for x in torch.aminmax(position))
    if last >= limit:
        raise ValueError(
            f"{type(part).__name__}({field}={limit}) holds positions 0 to {limit - 1} and got {last}; "
            f"build it with {field} >= {last + 1}"
        )
    if first < 0:
        raise ValueError(f"{type(part).__name__} holds no negative position and got {first}; count positions from 0")
