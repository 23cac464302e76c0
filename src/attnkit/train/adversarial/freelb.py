"""FreeLB: the steps of an ascent are all trained on."""

import torch
from torch import Tensor

from attnkit.run.sections_learning import RegularizeSettings
from attnkit.train.adversarial.words import Loss, Words, ascent


def loss_of(words: Words, start: Tensor, plain: Tensor, loss: Loss, settings: RegularizeSettings) -> Tensor:
    """1/K sum_k L(x + r_k), r_{k+1} = P(r_k + step g_k / |g_k|), with P the projection on the ball of radius `radius`.

    r_0 is uniform in (-radius, radius) over the root of the numbers of a text; g_k is the gradient of L(x + r_k) by the
    embedded words; each r_k is a constant to the outer gradient. All passes have the same dropout masks. The plain loss
    stands beside it here, as for the other methods; the paper has it alone.

    Source: Zhu et al. (2020), algorithm 1.
    Cost: K + 1 passes and K - 1 inner gradients; the graphs of all passes are held until the one backward pass.
    """
    losses: list[Tensor] = []
    r = words.uniform(settings.adversarial_radius)
    for number in range(settings.adversarial_steps):
        last = number + 1 == settings.adversarial_steps
        r = r.detach().requires_grad_(not last)
        losses.append(loss(words.answer(r)))
        if not last:
            g = ascent(losses[-1], r, keep=True)
            r = words.within(r.detach() + words.scaled(g, settings.adversarial_step), settings.adversarial_radius)
    return torch.stack(losses).mean()
