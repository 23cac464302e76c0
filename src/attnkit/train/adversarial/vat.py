"""VAT, virtual adversarial training: against the model's own predictions, so that no label is needed."""

from torch import Tensor

from attnkit.run.sections_learning import RegularizeSettings
from attnkit.task.base import Task
from attnkit.train.adversarial.words import Words, ascent
from attnkit.train.terms.divergence import divergence

# How far the power iteration looks, as a share of the radius: far enough for float32, near enough to be local.
PROBE = 0.1


def loss_of(words: Words, logits: Tensor, task: Task, settings: RegularizeSettings) -> Tensor:
    """KL(p(x) || p(x + radius d)), d the direction of a text in which that divergence grows fastest.

    d begins at random; each of `steps` times d = g / |g| with g the gradient of KL(p(x) || p(x + xi d)) by the shift,
    xi = radius / 10 (a power iteration on the Hessian at 0). `logits` are those of p(x), the first answer of `words`;
    p(x) and d are constants to the outer gradient. All passes have the same dropout masks: with others the divergence
    would not be 0 at 0, and its gradient there would be that of the masks. For several labels and for scores the
    divergence is that of `divergence`.

    Source: Miyato et al. (2016), Distributional smoothing with virtual adversarial training, algorithm 1; on embedded
        words, Miyato, Dai and Goodfellow (2017), section 3, r_v-adv and L_v-adv.
    Cost: `steps` + 2 passes and `steps` inner gradients.
    """
    reference = logits.detach()
    d = words.scaled(words.normal(), 1.0)
    for _ in range(settings.adversarial_steps):
        r = (PROBE * settings.adversarial_radius * d).detach().requires_grad_()
        d = words.scaled(ascent(divergence(task, reference, words.answer(r)), r), 1.0)
    return divergence(task, reference, words.answer(settings.adversarial_radius * d))
