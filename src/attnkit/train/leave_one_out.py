"""Leave one out: in training the wide branch answers a text by what the other rows say."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from attnkit.model.wide import NgramFeatures
from attnkit.task.base import Task


@contextmanager
def left_out(model: nn.Module, targets: Tensor | None, task: Task) -> Iterator[None]:
    """Within, the wide branch of `model` takes each text of the batch, of `targets` (B,), out of what it counted.

    Only where a text has one class and the branch leaves out: nothing is done otherwise. Without targets
    nothing is taken out, which is so before and after.
    """
    branches = [
        part
        for part in model.modules()
        if isinstance(part, NgramFeatures) and part.leave_one_out and task.kind == "single"
    ]
    before = [branch.own_B for branch in branches]
    for branch in branches:
        branch.own_B = targets
    try:
        yield
    finally:
        for branch, own_B in zip(branches, before, strict=True):
            branch.own_B = own_B
