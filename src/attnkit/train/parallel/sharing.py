"""How processes share a gradient: each holds the whole model, or each holds a part of every layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.train.parallel.processes import Processes

Loss = Any

_READ_WHOLE_MATRICES = ("adafactor", "muon")


class Sharing(Protocol):
    """A model in several processes whose backward passes leave the mean of all gradients in each."""

    def loss(self, *args: Any) -> Tensor:
        """Give the objective's value for what it is called with, besides the model."""
        ...

    def piece(self, last: bool) -> Any:
        """Hold the context in which a piece is computed; gradients are exchanged in the backward pass of the last."""
        ...

    def settled(self) -> None:
        """Finish the exchange, once all backward passes are done."""
        ...


class _Objective(nn.Module):
    # One call holds all that the objective does with the model, however often it runs it.
    def __init__(self, model: nn.Module, objective: Loss) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, *args: Any) -> Tensor:
        return self.objective(self.model, *args)


class Single:
    """The only process there is."""

    def __init__(self, model: nn.Module, objective: Loss) -> None:
        self.model, self.objective = model, objective

    def loss(self, *args: Any) -> Tensor:
        """Give the objective's value."""
        return self.objective(self.model, *args)

    @contextmanager
    def piece(self, last: bool) -> Iterator[None]:
        """Exchange nothing."""
        yield

    def settled(self) -> None:
        """Leave the gradient as it is."""


class Replicas(Single):
    """The whole model in each process, by torch's DistributedDataParallel."""

    def __init__(self, model: nn.Module, objective: Loss) -> None:
        super().__init__(model, objective)
        self._held: DistributedDataParallel | None = None
        self._learned: list[bool] = []

    def loss(self, *args: Any) -> Tensor:
        """Give the objective's value, computed where gradients are listened for."""
        return self._wrapped(*args)

    @contextmanager
    def piece(self, last: bool) -> Iterator[None]:
        """Keep the gradients of all pieces but the last to this process."""
        if last:
            yield
            return
        with self._wrapped.no_sync():
            yield

    @property
    def _wrapped(self) -> DistributedDataParallel:
        # Which parameters it listens to is settled when it is made, and layers may be freed while training.
        learned = [parameter.requires_grad for parameter in self.model.parameters()]
        if self._held is None or learned != self._learned:
            self._learned = learned
            self._held = DistributedDataParallel(
                _Objective(self.model, self.objective), forward_sync_buffers=False, find_unused_parameters=True
            )
        return self._held


class Shards(Single):
    """A part of every parameter, of its gradient and of the optimizer's state in each process, by torch's FSDP2."""

    def __init__(self, model: nn.Module, objective: Loss, processes: Processes) -> None:
        super().__init__(model, objective)
        self.processes = processes
        # Single numbers cannot be cut: each process keeps them whole.
        self.scalars = [parameter for parameter in model.parameters() if parameter.ndim == 0]
        # Imported here, because it takes longer than most commands do.
        from torch.distributed.fsdp import fully_shard

        for layer in _layers(model):
            fully_shard(layer, ignored_params=set(self.scalars))
        fully_shard(model, ignored_params=set(self.scalars))

    @contextmanager
    def piece(self, last: bool) -> Iterator[None]:
        """Keep the gradients of all pieces but the last to this process."""
        self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield

    def settled(self) -> None:
        """Average the gradients of what is not cut."""
        for parameter in self.scalars:
            if parameter.grad is not None:
                self.processes.summed(parameter.grad).div_(self.processes.size)


def share(model: nn.Module, objective: Loss, processes: Processes, sharded: bool) -> Sharing:
    """The model as the `processes` hold it; parts replace its parameters in place."""
    if processes.size == 1:
        return Single(model, objective)
    return Shards(model, objective, processes) if sharded else Replicas(model, objective)


def check_sharded(recipe: Recipe) -> None:
    """Hold a recipe that cuts weights up to an optimizer that moves them part by part.

    Raises: UsageError where it reads whole matrices.
    """
    name = recipe.optimizer.optimizer
    if recipe.train.sharded and name in _READ_WHOLE_MATRICES:
        raise UsageError(
            f"optimizer.optimizer = {name!r} reads whole matrices, which train.sharded leaves in parts; leave one of "
            "the two out"
        )


def check_shared_out(recipe: Recipe, processes: Processes) -> None:
    """Hold a recipe whose weights are shared out to there being several processes.

    Raises: UsageError where there is one.
    """
    if recipe.train.sharded and processes.size == 1:
        raise UsageError(
            "--sharded shares the weights out to processes, and here is one; give --processes 2 or more, launch with "
            "torchrun, or leave train.sharded out"
        )


def _layers(model: nn.Module) -> list[nn.Module]:
    """What is gathered at a time: each layer of an outermost stack of layers."""
    if isinstance(model, nn.ModuleList):
        return list(model)
    return [layer for child in model.children() for layer in _layers(child)]
