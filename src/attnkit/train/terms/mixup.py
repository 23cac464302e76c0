"""Mixup of embedded texts: a batch between two batches."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.errors import UsageError
from attnkit.kernels.packed import Pieces
from attnkit.model.embedding import PADDING, changed
from attnkit.model.ngrams import HashedNgrams
from attnkit.model.wide import WideNgrams

Inputs = tuple[Tensor, Tensor | Pieces]


def mixed_loss(model: nn.Module, inputs: Inputs, alpha: float, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """l L(z, y) + (1 - l) L(z, y'), where z is the model's answer to l x + (1 - l) x' and x' is x in another order.

    x are the embedded words of the texts (with their n-grams), the shorter text of a pair with zeros behind it; y' are
    the targets in that order. l ~ Beta(alpha, alpha) is drawn once a batch, and it and the order come from torch's
    default generator. loss(z, rows) is the mean loss of the logits z (B, C) against the targets of these rows (B,).

    Raises: UsageError where the texts are packed, or are tables of sentences.
    Source: Guo, Mao and Zhang (2019), equations 1 to 3 (wordMixup); Zhang et al. (2018), equation 2.
    """
    ids_BT, keep_BT = inputs
    if isinstance(keep_BT, Pieces):
        raise UsageError(
            "mixup adds words of two texts place by place, and packed texts have no places in common; set "
            "train.batches = 'sorted'"
        )
    if ids_BT.ndim != 2:
        raise UsageError("mixup mixes rows of words, and a hierarchical model reads tables; set regularize.mixup = 0")
    B = ids_BT.shape[0]
    share = beta_share(alpha).to(ids_BT.device)
    order_B = torch.randperm(B, device=ids_BT.device)

    def mixed(x_BTM: Tensor) -> Tensor:
        return share * x_BTM + (1 - share) * x_BTM[order_B]

    with changed(model, lambda ids, x: mixed(x)), _mixed_ngrams(model, mixed):
        z = model(ids_BT, keep_BT | keep_BT[order_B])
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    return share * loss(z, torch.arange(B)) + (1 - share) * loss(z, order_B)


def beta_share(alpha: float) -> Tensor:
    """l ~ Beta(alpha, alpha), a float32 scalar from torch's default generator.

    l = g / (g + g') with g, g' ~ Gamma(alpha), taken as logarithms: log g = log Gamma(alpha + 1) + log(u) / alpha. The
    gamma variables themselves are zero in float32 where alpha is small, and torch's own answer is then 0.5.
    """
    gamma = torch.distributions.Gamma(torch.full((2,), alpha + 1, dtype=torch.float64), 1.0)
    logs = gamma.sample().log() + torch.rand(2, dtype=torch.float64).log() / alpha
    return (logs[0] - logs[1]).sigmoid().float()


@contextmanager
def _mixed_ngrams(model: nn.Module, mixed: Callable[[Tensor], Tensor]) -> Iterator[None]:
    def own(module: nn.Module, given: tuple[Tensor, Any]) -> tuple[Tensor, Tensor]:
        # The model knows what either text keeps; an n-gram ends within its own.
        return given[0], given[0] != PADDING

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, HashedNgrams | WideNgrams):
                stack.callback(module.register_forward_pre_hook(own).remove)
                stack.callback(module.register_forward_hook(lambda module, given, y: mixed(y)).remove)
        yield
