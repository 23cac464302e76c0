"""Freezing: weights that wait, and are freed from the top as epochs pass."""

import re

from torch import nn

from attnkit.errors import UsageError
from attnkit.model.depth import depths
from attnkit.run.sections_learning import StartSettings

_POOLINGS = ("summary.", "word_summary.", "sentence_summary.")
_LAYER = re.compile(r"encoder\.(\d+)")


class Freezing:
    """Which parameters of `model` learn, as a function of how many epochs have passed, so that resuming is exact.

    What the recipe freezes gets no gradient, and so no state in the optimizer. With `unfreeze_epochs` u, after k u
    epochs the k uppermost of the frozen depths learn too.

    Raises: UsageError where a name stands for nothing in `model`, nothing would be left to learn, or nothing is frozen
        that could be freed.
    Source: Howard and Ruder (2018), section 3.3 (gradual unfreezing).
    """

    def __init__(self, model: nn.Module, settings: StartSettings) -> None:
        self.model, self.every = model, settings.unfreeze_epochs
        self.depth = depths(model)
        frozen = [name for wanted in settings.freeze for name in matching(wanted, self.depth)]
        self.frozen = {name: self.depth[name] for name in frozen}
        if self.frozen and len(self.frozen) == len(self.depth):
            raise UsageError(f"start.freeze = {list(settings.freeze)} leaves nothing to learn; free the head")
        if self.every and not self.frozen:
            raise UsageError(
                f"start.unfreeze_epochs = {self.every:g} frees what start.freeze holds, and nothing is frozen; name "
                "it, or leave that out"
            )
        self.order = sorted(set(self.frozen.values()), reverse=True)
        self.freed = -1

    def at(self, epochs: float) -> int:
        """Let learn what learns after `epochs` epochs, and give how many parameters were freed or frozen by that."""
        # A step that ends an epoch must count for the next one, whatever division leaves.
        freed = int(epochs / self.every + 1e-9) if self.every else 0
        freed = min(freed, len(self.order))
        if freed == self.freed:
            return 0
        self.freed = freed
        waiting, changed = set(self.order[freed:]), 0
        for name, parameter in self.model.named_parameters():
            learns = self.frozen.get(name) not in waiting
            changed += parameter.requires_grad != learns
            parameter.requires_grad_(learns)
        return changed


def matching(wanted: str, depth: dict[str, int]) -> list[str]:
    """The parameters that a name in start.freeze stands for: embedding, encoder, encoder.0, pooling, head, or a prefix.

    Raises: UsageError where it stands for none.
    """
    layers = max((one for name, one in depth.items() if name.startswith(("encoder.", "words."))), default=0)
    layer = _LAYER.fullmatch(wanted)
    if wanted == "embedding":
        found = [name for name, one in depth.items() if one == 0]
    elif wanted == "encoder":
        found = [name for name, one in depth.items() if 0 < one <= layers]
    elif layer:
        found = [name for name, one in depth.items() if one == int(layer[1]) + 1 and one <= layers]
    elif wanted == "pooling":
        found = [name for name in depth if name.startswith(_POOLINGS)]
    else:
        found = [name for name in depth if name == wanted or name.startswith(f"{wanted}.")]
    if not found:
        known = ["embedding", *(["encoder", f"encoder.0 to encoder.{layers - 1}"] if layers else []), "pooling", "head"]
        raise UsageError(
            f"start.freeze names {wanted!r}, which this network has not; it has {', '.join(known)}, and parameters by "
            "the beginnings of their names"
        )
    return found
