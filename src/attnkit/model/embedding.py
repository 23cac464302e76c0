"""Tokens to vectors: learned rows, with the row of padding held at zero."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attnkit.layers import Dropout

PADDING, UNKNOWN, SEPARATOR = 0, 1, 2
# Of tokenizers that came with a checkpoint alone: what begins a text, and what hides a token.
BEGIN, MASK = 3, 4


class Embedding(nn.Module):
    """x_BTM = E[ids_BT], with words made unknown and entries dropped while training.

    Ids up to `spared` are never made unknown.

    Source: word dropout, Iyyer et al. 2015, section 4 (here a dropped word becomes the unknown one).
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        *,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        spared: int = SEPARATOR,
    ) -> None:
        super().__init__()
        self.rows = nn.Embedding(vocabulary_size, width, padding_idx=PADDING)
        self.word_dropout = word_dropout
        self.spared = spared
        self.dropout = Dropout(dropout)
        with torch.no_grad():
            self.rows.weight.normal_(0, 0.1)
            self.rows.weight[PADDING] = 0

    def forward(self, ids_BT: Tensor) -> Tensor:
        if self.training and self.word_dropout > 0:
            hidden = torch.rand(ids_BT.shape, device=ids_BT.device) < self.word_dropout
            ids_BT = ids_BT.masked_fill(hidden & (ids_BT > self.spared), UNKNOWN)
        return self.dropout(self.rows(ids_BT))


@contextmanager
def changed(model: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> Iterator[None]:
    """While the block runs, every Embedding inside `model` gives change(ids, x) in place of x = E[ids]."""

    def hook(module: nn.Module, given: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return change(given[0], x)

    held = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, Embedding)]
    try:
        yield
    finally:
        for one in held:
            one.remove()
