"""The heaviest keys of each row, found among few: the blocks that hold one are those with the largest peaks."""

import torch
from torch import Tensor

from attnkit.capture.sweep import PEAK


def heaviest(weights_NC: Tensor, peaks_NB: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The min(count, C) largest of each row and their columns, the largest first; exact.

    `peaks_NB` rise with the largest weight of every PEAK columns, and of those left over at the end.
    Cost: one pass for the peaks, then count * PEAK numbers a row.
    """
    N, C = weights_NC.shape
    count = min(count, C)
    whole = C // PEAK
    if whole <= count:
        value, column = weights_NC.topk(count, dim=-1)
        return value, column
    block = peaks_NB[:, :whole].topk(count, dim=-1).indices
    of_blocks = weights_NC[:, : whole * PEAK].unflatten(1, (whole, PEAK))
    held = of_blocks.gather(1, block[..., None].expand(N, count, PEAK)).flatten(1)
    if whole * PEAK < C:
        held = torch.cat([held, weights_NC[:, whole * PEAK :]], dim=1)
    value, place = held.topk(count, dim=-1)
    among = block.gather(1, (place // PEAK).clamp(max=count - 1)) * PEAK + place % PEAK
    return value, among.where(place < count * PEAK, place - count * PEAK + whole * PEAK)
