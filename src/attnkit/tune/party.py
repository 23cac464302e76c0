"""Who works on a search from this machine: this process by itself, or several that it starts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from attnkit.errors import UsageError
from attnkit.train.interrupt import CtrlC
from attnkit.train.prepare import Source
from attnkit.tune.budget import Budget
from attnkit.tune.crew import Crew
from attnkit.tune.search import Search
from attnkit.tune.worker import Work

MOST_WORKERS = 256


@dataclass(frozen=True)
class Party:
    """Work on a search by this process, or by several that it starts."""

    search: Search
    source: Source
    where: str
    data_path: str
    workers: int
    threads: int | None
    budget: Budget
    wanted: int
    allow_code: bool

    def work(self, ctrl_c: CtrlC, between: Callable[[], None], first: int = 0) -> None:
        """Take trials until nothing is left to do; `between` is called between trials, `first` numbers the workers."""
        before = torch.get_num_threads()
        threads = self.threads or before
        if self.workers > 1:
            share = max(1, threads // self.workers)
            Crew(
                self.search,
                self.where,
                self.data_path,
                self.workers,
                share,
                self.budget,
                self.wanted,
                between,
                first,
                self.allow_code,
            ).work()
            return
        torch.set_num_threads(threads)
        try:
            Work(self.search, self.source, ctrl_c, self.budget, number=first, wanted=self.wanted, between=between).run()
        finally:
            torch.set_num_threads(before)


def check_workers(workers: int) -> None:
    """Hold a number of workers to what can be started.

    Raises: UsageError where it is not from 1 to 256.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UsageError(f"workers must be from 1 to {MOST_WORKERS}, not {workers}")
