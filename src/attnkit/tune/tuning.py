"""tune(...): from a data file and a space of settings to a study, and the best setting trained."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attnkit.run.directory import PARTIAL
from attnkit.run.listing import STUDY_MARK
from attnkit.run.lock import locked
from attnkit.run.recipe import Recipe
from attnkit.run.record import write_record
from attnkit.train.events import Listener, Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.prepare import Source
from attnkit.tune.asked import Asked, asked_for, gone_on, make_plan, refuse_more, refuse_others
from attnkit.tune.directory import Study, address, recorded, study_path
from attnkit.tune.leading import Leader
from attnkit.tune.library import optuna
from attnkit.tune.party import check_workers
from attnkit.tune.search import Search
from attnkit.tune.storage import is_url, mend_journal, without_password
from attnkit.tune.worker import read_data


def tune(
    data: str | os.PathLike[str] | None = None,
    *,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int = 1,
    threads: int | None = None,
    storage: str = "",
    final: bool = True,
    progress: Listener | None = None,
    allow_code: bool = False,
    began: float | None = None,
    **overrides: Any,
) -> Study:
    """Search settings of the recipe for the data file or folder `data`, and give the finished study.

    `recipe` and `overrides` (recipe fields by name, as in `trials=30`) say what is searched (`space`), how, and for how
    long. Trials are measured on rows held out of training; the test rows are read once, by the run `final` that is
    trained with the best setting in the end. `workers` processes share `threads` threads; `storage` is a journal file
    or the URL of a database, by which other machines can `join`. The time of a study counts from the reading `began` of
    the monotonic clock on (None: from now).

    Everything happens in `out` with the suffix `.partial`, which is renamed when all is done. Ctrl-C ends the current
    steps, writes what there is and raises Interrupted; `resume=True` goes on, and trials whose worker was killed are
    marked as lost and begun anew.

    Raises: UsageError where data, recipe, space or options are wrong; FailedError where no trial could be measured.
    """
    began = time.time() - (time.monotonic() - began if began is not None else 0.0)
    optuna()
    asked = asked_for(data, recipe, overrides, allow_code)
    check_workers(workers)
    place = Path(out) if out is not None else study_path(asked.recipe.data.path, resume=resume)
    place = place.with_name(place.name.removesuffix(PARTIAL))
    say = Say(progress)
    begun = resume and (place.with_name(place.name + PARTIAL) / STUDY_MARK).is_file()
    made = [folder for folder in place.absolute().parents if not folder.exists()]
    if begun or (resume and (place / STUDY_MARK).is_file()):
        study = Study.begin(place, resume=True)
        if study.complete:
            refuse_more(study, asked, allow_code)
            say("said", sentence=f"{study.path} is finished already")
            return study
    else:
        # Wrong input must not leave a directory behind.
        plan, source, default = make_plan(asked, place.name, say, allow_code)
        study = Study.begin(place, resume=resume)
    with locked(study.path), CtrlC() as ctrl_c:
        try:
            if begun:
                search, source, where = _reopened(study, asked, storage, allow_code)
                asked = gone_on(search.plan, asked)
                search.settings = asked.recipe.tune
            else:
                where = address(storage, study.path)
                search = Search.begin(plan, where, study.path)
                search.plant(default, asked.wanted)
                written = without_password(storage) if is_url(storage) else where if storage else ""
                write_record(study.path / STUDY_MARK, {"plan": plan.to_dict(), "storage": written})
        except BaseException:
            if not begun:
                _remove(study.path, made)
            raise
        leader = Leader(search, source, where, asked, say, ctrl_c, final, began, workers, threads, allow_code)
        return leader.lead(study)


def _reopened(study: Study, asked: Asked, storage: str, allow_code: bool) -> tuple[Search, Source, str]:
    where, name = recorded(study, storage)
    if not is_url(where):
        mend_journal(Path(where))
    search = Search.open(where, name, study.path, allow_code=allow_code)
    refuse_others(search.plan, asked, study.path)
    place = asked.recipe.data.path if asked.recipe.data.path else ""
    return search, read_data(search, place), where


def _remove(partial: Path, made: Sequence[Path]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    with suppress(OSError):
        for folder in made:
            folder.rmdir()
