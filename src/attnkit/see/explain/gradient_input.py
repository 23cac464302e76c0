"""Gradient x input: how fast the prediction moves with each token's vector, along that vector."""

import torch
from torch import Tensor

from attnkit.see.explain.attribution import Attribution, Found, attributed
from attnkit.see.explain.target import Item, Subject, Target


def explain(subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
    """score_t = sum_m x_tm df/dx_tm, with x_TM the embeddings and f the log-odds.

    Source: Shrikumar et al. 2017, section 3.1 (gradient x input); Denil et al. 2014 on words.
    Cost: one forward and one backward pass.
    """

    def work(target: Target) -> Found:
        ids_1T = subject.ids_1T(item)
        inputs = subject.embedded(ids_1T)
        slopes = gradients(subject, ids_1T, inputs, target.index)
        scores_T = sum_over_width(inputs, slopes)[0]
        return scores_T, "the slope of the log-odds along each token's vector", {}

    return attributed("gradient_input", subject, item, target, work)


def gradients(subject: Subject, ids_BT: Tensor, inputs: list[Tensor], index: int) -> list[Tensor]:
    """df/dx of each input (B, T, M), for f of each row by itself."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    with torch.enable_grad():
        total = subject.values(subject.logits_of(ids_BT, leaves), index).sum()
        return list(torch.autograd.grad(total, leaves))


def sum_over_width(weights: list[Tensor], slopes: list[Tensor]) -> Tensor:
    """sum_m w_btm g_btm, (B, T), summed over the inputs."""
    parts = [(w.double() * g.double()).sum(-1) for w, g in zip(weights, slopes, strict=True)]
    return torch.stack(parts).sum(0)
