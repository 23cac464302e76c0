"""An attention pooling that begins as the plain mean of what it reads."""

import torch
from torch import Tensor

from attnkit.layers import AttentionPooling


def begin_as_mean(pooling: AttentionPooling) -> bool:
    """Make the pooling weigh all positions alike; False, and nothing changed, where its kind has no such beginning.

    A score that is a product with the query is silent where the query is zero, and an additive one where its last
    vector is. Both leave a gradient, by which the pooling learns where to look.
    """
    silent = {n: p for n, p in pooling.named_parameters() if n == "queries" or n.endswith("score.v")}
    before = {name: parameter.detach().clone() for name, parameter in silent.items()}
    with torch.no_grad():
        for parameter in silent.values():
            parameter.zero_()
        if _is_mean(pooling):
            return True
        for name, parameter in silent.items():
            parameter.copy_(before[name])
    return False


def _is_mean(pooling: AttentionPooling) -> bool:
    count, width = pooling.queries.shape
    x_BSM = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(0))
    mean_BRM: Tensor = x_BSM.mean(1, keepdim=True).expand(-1, count, -1)
    return bool(torch.allclose(pooling(x_BSM), mean_BRM, atol=1e-5))
