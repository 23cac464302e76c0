"""PGD, projected gradient ascent: several steps against the loss, held within a ball."""

from torch import Tensor

from attnkit.run.sections_learning import RegularizeSettings
from attnkit.train.adversarial.words import Loss, Words, ascent


def loss_of(words: Words, start: Tensor, plain: Tensor, loss: Loss, settings: RegularizeSettings) -> Tensor:
    """L(x + r_K), r_{k+1} = P(r_k + step g_k / |g_k|), r_0 = 0, P the projection on the ball of radius `radius`.

    g_k is the gradient of L(x + r_k) by the embedded words of a text, K the number of steps; r_K is a constant to the
    outer gradient. All passes have the same dropout masks.

    Source: Madry et al. (2018), section 2.1, with the l2 norm over a text in place of the largest entry.
    Cost: K + 1 passes and K inner gradients.
    """
    g, r = ascent(plain, start, keep=True), words.zeros()
    for number in range(settings.adversarial_steps):
        if number:
            r = r.detach().requires_grad_()
            g = ascent(loss(words.answer(r)), r)
        r = words.within(r.detach() + words.scaled(g, settings.adversarial_step), settings.adversarial_radius)
    return loss(words.answer(r))
