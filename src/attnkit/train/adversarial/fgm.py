"""FGM, the fast gradient method: one step against the loss."""

from torch import Tensor

from attnkit.run.sections_learning import RegularizeSettings
from attnkit.train.adversarial.words import Loss, Words, ascent


def loss_of(words: Words, start: Tensor, plain: Tensor, loss: Loss, settings: RegularizeSettings) -> Tensor:
    """L(x + r), r = radius g / |g|, with g the gradient of the plain loss L(x) by the embedded words x of a text.

    `start` is the shift of zeros under which `plain` was found. r is a constant to the outer gradient. Both passes have
    the same dropout masks. Embeddings are not normalized, so `radius` is a length beside theirs.

    Source: Miyato, Dai and Goodfellow (2017), section 3, r_adv and L_adv.
    Cost: two passes and an inner gradient.
    """
    return loss(words.answer(words.scaled(ascent(plain, start, keep=True), settings.adversarial_radius)))
