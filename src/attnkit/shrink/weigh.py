"""What of a network is worth how much, by the way of asking that is wished."""

from torch import nn

from attnkit.errors import UsageError
from attnkit.shrink.choose import Scores
from attnkit.shrink.importance.ablation import heads_by_ablation, layers_by_ablation
from attnkit.shrink.importance.gates import heads_by_gates
from attnkit.shrink.importance.gradient import heads_by_gradient, units_by_gradient
from attnkit.shrink.parent import Parent

METHODS = ("ablation", "gradient", "gates")


class Weighed:
    """Asks for the importance of what `network`, made from that of `parent`, still has.

    Ablation and gradients read validation rows, at most `rows` of them; gates are learned on training rows. Test rows
    are not read.

    Raises: UsageError where the importance or the network is of no kind that is known.
    """

    def __init__(self, parent: Parent, importance: str, rows: int) -> None:
        if importance not in METHODS:
            raise UsageError(f"--importance takes {', '.join(METHODS)}, and got {importance!r}")
        if rows < 1:
            raise UsageError(f"--rows must be at least 1; got {rows}")
        self.parent, self.importance = parent, importance
        self.validation = parent.part("validation", rows)
        self.training = parent.part("train", rows * 10) if importance == "gates" else None

    def heads(self, network: nn.Module) -> Scores:
        """A score a head, by layer."""
        task, prepare = self.parent.task, self.parent.prepare
        if self.importance == "ablation":
            return heads_by_ablation(network, task, prepare, self.validation)
        if self.importance == "gradient":
            return heads_by_gradient(network, task, prepare, self.validation)
        assert self.training is not None
        return heads_by_gates(network, task, prepare, self.training)

    def units(self, network: nn.Module) -> Scores:
        """A score a unit of the wide map, by layer: gradient times activation."""
        return units_by_gradient(network, self.parent.task, self.parent.prepare, self.validation)

    def layers(self, network: nn.Module) -> list[float]:
        """How far the predictions move without each layer."""
        return layers_by_ablation(network, self.parent.task, self.parent.prepare, self.validation)
