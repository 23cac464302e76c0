"""join(...): to work on a study that another process leads, on this machine or on another."""

import os
import time
from collections.abc import Mapping
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.recipe import find_field
from attnkit.train.events import Listener, Say
from attnkit.train.interrupt import CtrlC, Interrupted
from attnkit.tune.asked import Asked
from attnkit.tune.budget import Budget
from attnkit.tune.directory import Study, address, recorded
from attnkit.tune.party import Party, check_workers
from attnkit.tune.search import Search
from attnkit.tune.watching import Watch
from attnkit.tune.worker import read_data


def join(
    study: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] = "",
    storage: str = "",
    workers: int = 1,
    threads: int | None = None,
    minutes: float = 0.0,
    progress: Listener | None = None,
    allow_code: bool = False,
) -> int:
    """Work on a study that another process leads, until nothing is left to do; the number of trials seen to end.

    `study` is its directory, or with `storage` the name it has there: a machine that shares nothing but a database
    needs `data`, its own copy. Ctrl-C ends the trial under way, which the leader begins anew.

    Raises: UsageError where there is no such study, it is finished, or the data is another; Interrupted on Ctrl-C.
    """
    check_workers(workers)
    search, where = _found(study, storage, allow_code)
    source = read_data(search, os.fspath(data))
    settings = search.settings
    wanted = search.target(Asked(search.plan.recipe, frozenset(), frozenset()).wanted)
    ended = [0]

    def listen(event: Any) -> None:
        ended[0] += event.kind == "trial" and event.values["state"] != "running"
        if progress is not None:
            progress(event)

    trainings = max(1, settings.tune_folds) * settings.tune_seeds
    budget = Budget(time.time() + 60 * minutes if minutes else 0.0, trainings, False, search.plan.higher_is_better)
    watch = Watch(search, Say(listen), wanted)
    crew = Party(search, source, where, str(source.path.absolute()), workers, threads, budget, wanted, allow_code)
    with CtrlC() as ctrl_c:
        try:
            crew.work(ctrl_c, watch, first=os.getpid())
        except KeyboardInterrupt:
            raise Interrupted("stopped by Ctrl-C; the study goes on without this worker", str(study)) from None
    return ended[0]


def _found(study: str | os.PathLike[str], storage: str, allow_code: bool) -> tuple[Search, str]:
    try:
        opened = Study.open(study)
    except UsageError:
        if not storage:
            raise
        where = address(storage, None)
        return Search.open(where, os.fspath(study), None, allow_code=allow_code), where
    if opened.complete:
        raise UsageError(f"{opened.path} is finished, so there is nothing to join")
    where, name = recorded(opened, storage)
    return Search.open(where, name, opened.path.absolute(), allow_code=allow_code), where


def join_study(
    study: str | os.PathLike[str],
    *,
    given: Mapping[str, Any],
    others: Mapping[str, Any],
    data: str | os.PathLike[str] | None = None,
    **how: Any,
) -> int:
    """`join` as the command line calls it: `given` are recipe fields, of which a helper may set the time alone.

    Raises: UsageError where a field or one of the `others` is given, which are the leader's to say.
    """
    named = [".".join(find_field(name)) for name in given]
    wrong = [name for name in named if name != "tune.tune_minutes"] + [name for name, value in others.items() if value]
    if wrong:
        raise UsageError(f"a study that is joined has its own recipe; leave {', '.join(wrong)} out")
    return join(study, data="" if data is None else data, minutes=given.get("tune_minutes", 0.0), **how)
