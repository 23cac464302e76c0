"""Controls: rankings by chance, and the same model with its weights drawn anew."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.target import Item, Subject, Target


def explain(
    subject: Subject, item: Item, *, target: Target | None = None, generator: torch.Generator | None = None
) -> Attribution:
    """score_t uniform in [0, 1): the explanation that knows nothing, drawn from `generator` (None: seeded with 0).

    Cost: nothing.
    """
    drawn = torch.Generator().manual_seed(0) if generator is None else generator

    def work(target: Target) -> Found:
        return torch.rand(item.T, generator=drawn), "drawn by chance", {}

    return attributed("random", subject, item, target, work)


@contextmanager
def redrawn(network: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """While the block runs, the entries of every parameter stand in another order: what was learned is gone.

    Each tensor keeps its own numbers, and so its scale, so that the model still answers as firmly; the row of padding
    stays. Afterwards every bit is as before. Nobody else may use the model meanwhile.

    Source: Adebayo et al. 2018, section 3 (weights drawn anew; here from the trained tensor's own entries).
    Cost: a copy of the weights.
    """
    padding = {id(m.weight): m.padding_idx for m in network.modules() if isinstance(m, nn.Embedding)}
    held = [(p, p.detach().clone()) for p in network.parameters() if p.dtype.is_floating_point]
    try:
        with torch.no_grad():
            for parameter, before in held:
                parameter.copy_(_shuffled(before, padding.get(id(parameter)), generator))
        yield
    finally:
        with torch.no_grad():
            for parameter, before in held:
                parameter.copy_(before)


def _shuffled(x: Tensor, kept_row: int | None, generator: torch.Generator) -> Tensor:
    if kept_row is not None:
        others = torch.arange(len(x), device=x.device) != kept_row
        x = x.clone()
        x[others] = _shuffled(x[others], None, generator)
        return x
    order = torch.randperm(x.numel(), generator=generator)
    return x.flatten()[order.to(x.device)].view_as(x)


def rank_correlation(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Spearman's rho, equal scores sharing their ranks; 0 where it is undefined (one token, or scores all equal).

    Source: Spearman 1904.
    """
    a, b = (rankdata(scores) for scores in (first, second))
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
