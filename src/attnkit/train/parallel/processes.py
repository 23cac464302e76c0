"""The processes that train one model together, alike in everything but that the first one writes and speaks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from attnkit.errors import FailedError, UsageError

T = TypeVar("T")

# A process that dies is noticed by its closed connections; only work that one process does for all takes long.
_PATIENCE = timedelta(days=2)
LOST = "lost"
_ERRORS = {"UsageError": UsageError, "FailedError": FailedError}


@dataclass(frozen=True)
class Processes:
    """`size` processes, of which this one is number `rank`; each calls every method, in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True in the one process that writes files and speaks."""
        return self.rank == 0

    def lead(self, action: Callable[[], T]) -> T:
        """What `action` gives in the first process, which alone runs it, in every process.

        Raises: in every process what it raises in the first: UsageError, or FailedError for all else.
        """
        if self.size == 1:
            return action()
        told: list[Any] = ["", None]
        try:
            if self.leads:
                told = ["", action()]
        except BaseException as error:
            kind = "UsageError" if isinstance(error, UsageError) else "FailedError"
            dist.broadcast_object_list([kind, str(error) or type(error).__name__])
            raise
        dist.broadcast_object_list(told)
        kind, result = told
        if kind:
            raise _ERRORS[kind](result)
        return result

    def sums(self, *values: float) -> list[float]:
        """The sum over all processes of each value."""
        return list(values) if self.size == 1 else self.summed(torch.tensor(values, dtype=torch.float64)).tolist()

    def summed(self, x: Tensor) -> Tensor:
        """`x` with what it holds in the other processes added in place."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def any(self, flag: bool) -> bool:
        """True where `flag` is true in any process."""
        return flag if self.size == 1 else bool(self.sums(flag)[0])

    def told(self, value: T) -> list[T]:
        """What `value` is in each process, by rank; plain data."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


ALONE = Processes()


def current() -> Processes:
    """The group of torch.distributed that this process belongs to, or the one that it forms alone."""
    if not dist.is_available() or not dist.is_initialized():
        return ALONE
    return Processes(dist.get_rank(), dist.get_world_size())


def launched() -> int:
    """How many processes torchrun, or what speaks like it, has started together with this one; 1 where none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def joined() -> Iterator[Processes]:
    """The group of the processes that were launched together, for as long as the block runs.

    Where one ends early, the others end too. Raises: FailedError that says so.
    """
    if launched() == 1 or current().size > 1:
        yield current()
        return
    dist.init_process_group("gloo", timeout=_PATIENCE)
    processes = current()
    try:
        yield processes
    except RuntimeError as error:
        if isinstance(error, FailedError) or not _lost(error):
            raise
        raise LostError(
            f"another of the {processes.size} processes ended; what was saved stands, and --resume goes on from there"
        ) from error
    finally:
        dist.destroy_process_group()


class LostError(FailedError):
    """Another process of the group ended, and this one could not go on."""


def _lost(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
