"""Training on embedded words that are moved against the loss, one file a method."""

from collections.abc import Callable

from torch import Tensor

from attnkit.run.sections_learning import RegularizeSettings
from attnkit.train.adversarial import fgm, freelb, pgd
from attnkit.train.adversarial.words import Loss, Words

# Those that need labels; vat has a signature of its own.
METHODS: dict[str, Callable[[Words, Tensor, Tensor, Loss, RegularizeSettings], Tensor]] = {
    "fgm": fgm.loss_of,
    "pgd": pgd.loss_of,
    "freelb": freelb.loss_of,
}
