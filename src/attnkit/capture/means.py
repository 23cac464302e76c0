"""Means of a statistic a head, over the tokens that are real."""

import torch
from torch import Tensor

from attnkit.capture.captured import CapturedLayer
from attnkit.capture.statistics import STATISTICS


def head_means(layer: CapturedLayer, name: str) -> Tensor:
    """(H,): the mean of a statistic over the real tokens of all items; NaN where there is none.

    Raises: KeyError where the layer has no such statistic.
    """
    values_BHL = layer.statistics[name].double()
    keep = layer.query_keep if STATISTICS[name].axis == "query" else layer.key_keep
    if keep is None:
        return values_BHL.mean((0, 2))
    if STATISTICS[name].axis == "query" and layer.rows is not None:
        keep = keep[:, layer.rows]
    weight_B1L = keep.expand(values_BHL.shape[0], -1)[:, None].double()
    total = weight_B1L.sum()
    return (values_BHL * weight_B1L).sum((0, 2)) / torch.where(total > 0, total, torch.nan)
