"""The embedded words of a batch, and what a model says where they are moved."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from attnkit.kernels.packed import Pieces
from attnkit.model.embedding import PADDING, Embedding, changed
from attnkit.model.hierarchical import computed
from attnkit.run.checkpoint import random_state, set_random_state

Inputs = tuple[Tensor, Tensor | Pieces]
Loss = Callable[[Tensor], Tensor]


class Words:
    """B texts as a model embeds them; a shift is shaped like what its embedding gives, and padding is never moved.

    Norms and lengths of a shift are those over a whole text. Every answer is given under the same dropout masks, those
    of the first: what is asked is then one smooth function of the shift, as its gradient and a divergence from the
    unmoved answer suppose (for adversarial training argued by Zhu et al. (2020), section 3.3).

    Raises: ValueError where the model embeds no words.
    """

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        tables = [module for module in model.modules() if isinstance(module, Embedding)]
        if not tables:
            raise ValueError(f"{type(model).__name__} embeds no words that could be moved")
        self.model, self.inputs = model, inputs
        ids, real = inputs
        if isinstance(real, Pieces):
            self.rows = len(real.lengths)
            counts = torch.tensor([*real.lengths, real.spare])
            self._owner = torch.arange(self.rows + 1).repeat_interleave(counts)[None]
        else:
            self.rows = len(ids)
            self._owner = torch.arange(self.rows).view(-1, *[1] * (ids.ndim - 1)).expand(ids.shape)
            if ids.ndim == 3:
                seen = computed(real.any(-1))
                ids, self._owner = ids[seen], self._owner[seen]
        self._moves = (ids != PADDING).unsqueeze(-1)
        table = tables[0].rows
        # The table itself may lie in parts in several processes.
        self._blank = torch.zeros((), dtype=table.weight.dtype, device=table.weight.device)
        self._width = table.embedding_dim
        self._masks = random_state()
        self._asked = False

    def zeros(self) -> Tensor:
        """The shift that moves nothing."""
        return self._blank.new_zeros(*self._moves.shape[:-1], self._width)

    def normal(self) -> Tensor:
        """A shift of independent standard normal numbers."""
        return torch.randn_like(self.zeros()) * self._moves

    def uniform(self, length: float) -> Tensor:
        """u / sqrt(N), u uniform in (-length, length), with N the numbers of a text that can be moved."""
        counts_B = self._sums(self._moves.expand_as(self.zeros()).to(self._blank.dtype))
        drawn = (2 * torch.rand_like(self.zeros()) - 1) * length
        return drawn * self._moves * self._spread(counts_B.clamp(min=1).rsqrt())

    def norms(self, shift: Tensor) -> Tensor:
        """The norm over each text, (B,), in float64: gradients may be so small that in float32 their squares are 0."""
        return self._sums(shift.double().square()).sqrt()

    def scaled(self, shift: Tensor, length: float) -> Tensor:
        """The same direction with the norm `length` over each text; where there is no direction, nothing."""
        norms_B = self.norms(shift)
        return (shift * self._spread(length / norms_B.masked_fill(norms_B == 0, math.inf))).to(shift)

    def within(self, shift: Tensor, length: float) -> Tensor:
        """The nearest shift whose norm over each text is at most `length`."""
        norms_B = self.norms(shift)
        return (shift * self._spread(length / norms_B.clamp(min=length))).to(shift)

    def answer(self, shift: Tensor) -> Tensor:
        """Logits (B, C), in at least float32, where the embedded words are moved by `shift`."""
        after = random_state() if self._asked else None
        set_random_state(self._masks)
        with changed(self.model, lambda ids, x: x + shift * self._moves):
            logits: Tensor = self.model(*self.inputs)
        if after is not None:
            set_random_state(after)
        self._asked = True
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _sums(self, x: Tensor) -> Tensor:
        total = x.new_zeros(self.rows + 1)
        return total.index_add(0, self._owner.flatten(), x.sum(-1).flatten())[: self.rows]

    def _spread(self, x_B: Tensor) -> Tensor:
        return torch.cat([x_B, x_B.new_zeros(1)])[self._owner].unsqueeze(-1)


def ascent(loss: Tensor, shift: Tensor, *, keep: bool = False) -> Tensor:
    """The gradient of `loss` by `shift` alone: none is left on the weights. With `keep`, the loss can be used again."""
    return torch.autograd.grad(loss, shift, retain_graph=keep)[0]
