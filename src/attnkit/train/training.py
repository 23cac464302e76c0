"""train(...): the whole job, from a data file to a finished run directory."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from attnkit.errors import UsageError
from attnkit.run.allocator import keep_freed_memory
from attnkit.run.directory import PARTIAL, Run, default_path
from attnkit.run.lock import locked
from attnkit.run.log import Log, read_log
from attnkit.run.machine import Stopwatch, describe_machine, peak_bytes
from attnkit.run.recipe import Recipe, find_field, load_recipe, recipe_from_plain
from attnkit.run.record import read_record, write_record
from attnkit.train.budget import Budget
from attnkit.train.choices import is_open
from attnkit.train.cross_validation import cross_validate
from attnkit.train.events import Listener, Say
from attnkit.train.finish import write_results
from attnkit.train.interrupt import CtrlC, Interrupted
from attnkit.train.named_files import refuse_changed_files, refuse_missing
from attnkit.train.parallel.launch import check_processes, launch
from attnkit.train.parallel.processes import Processes, current, joined, launched
from attnkit.train.parallel.sharing import check_shared_out
from attnkit.train.prepare import Source, check_source, read_source
from attnkit.train.presets import PRESET_FIELDS
from attnkit.train.single import train_once
from attnkit.train.terms.check import check_terms

Fields = set[tuple[str, str]]


def train(
    data: str | os.PathLike[str] | None = None,
    *,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Listener | None = None,
    allow_code: bool = False,
    processes: int | None = None,
    began: float | None = None,
    **overrides: Any,
) -> Run:
    """Train on the file or folder `data` and give the finished run directory.

    The data is read, its schema inferred, checked and split; the tokenizer is fitted on the training split; the network
    is trained with early stopping on the validation split; the test split is read once, at the end. What `recipe` and
    `overrides` (recipe fields by name, as in `epochs=3`) leave open is chosen from the data and recorded.

    Everything happens in `out` with the suffix `.partial`, which is renamed when all is done. Ctrl-C ends the current
    step, saves and raises Interrupted; `resume=True` goes on where a run stopped, for whatever reason, and ends with
    the weights it would have had without stopping (on the same machine and number of threads).

    With `processes` so many of them share each batch, and the numbers are those of one within float error. They are
    launched for the occasion; what torchrun has launched joins in by itself. A run may go on with another number.

    The time that `minutes` allows counts from `began`, a reading of `time.monotonic()`, or from now on.

    Where the C library is glibc, it is told to keep freed memory, for the rest of the life of the whole process.

    Raises: UsageError where data, recipe or options are wrong, or another process trains in `out`; FailedError where
    the loss stops being finite.
    """
    began = time.monotonic() if began is None else began
    wanted, given = _wanted(data, recipe, overrides, allow_code)
    if processes is not None and launched() != processes:
        check_processes(processes)
        options = {"out": out, "resume": resume, "allow_code": allow_code, "began": began, **overrides}
        return Run(launch(processes, data, recipe, progress, options))
    with joined() as group:
        say = Say(progress if group.leads else None)
        return _train_together(group, wanted, given, out, resume, say, allow_code, began)


def _train_together(
    processes: Processes,
    wanted: Recipe,
    given: Fields,
    out: str | os.PathLike[str] | None,
    resume: bool,
    say: Say,
    allow_code: bool,
    began: float,
) -> Run:
    sources: list[Source] = []
    made: list[Path] = []

    def begin() -> tuple[str, bool]:
        final = Path(out) if out is not None else default_path(wanted.data.path, resume=resume)
        final = final.with_name(final.name.removesuffix(PARTIAL))
        begun = resume and (final.exists() or (final.with_name(final.name + PARTIAL) / "recipe.toml").exists())
        if not begun:
            # Wrong input must not leave a directory behind.
            check_terms(wanted)
            check_shared_out(wanted, processes)
            refuse_missing(wanted)
            sources.append(read_source(wanted, say))
            check_source(sources[0].examples(), sources[0].schema, say)
        made.extend(folder for folder in final.absolute().parents if not folder.exists())
        return str(Run.begin(final, resume=resume).path), begun

    path, begun = processes.lead(begin)
    run = Run(path)
    if run.complete:
        processes.lead(lambda: _refuse_others(run.recipe, wanted, given, run))
        say("said", sentence=f"{run.path} is finished already")
        return run
    keep_freed_memory()
    with ExitStack() as held, _own_random_state(), CtrlC() as ctrl_c:
        processes.lead(lambda: held.enter_context(locked(run.path)))
        try:
            source = sources[0] if sources else None
            return _train_in(processes, run, wanted, given, source, say, ctrl_c, allow_code, began)
        except UsageError:
            # A refusal after the first step, such as of the test rows, must not cost what was trained.
            fresh = processes.leads and not begun
            if fresh and not any(line["event"] == "step" for line in read_log(run.path / "log.jsonl")):
                _remove(run.path, made)
            raise
        except KeyboardInterrupt:
            raise _interrupted(run) from None
        finally:
            if say.log is not None:
                say.log.close()


def _train_in(
    processes: Processes,
    run: Run,
    wanted: Recipe,
    given: Fields,
    source: Source | None,
    say: Say,
    ctrl_c: CtrlC,
    allow_code: bool,
    began: float,
) -> Run:
    folder = run.path
    watch = Stopwatch()
    stored = folder / "recipe.toml"
    recipe = wanted
    if processes.lead(stored.exists):
        recipe = load_recipe(stored, allow_code=allow_code)
        _refuse_others(recipe, wanted, given, run)
    if processes.leads:
        say.log = Log(folder / "log.jsonl")
    if source is None:
        # Data may have moved since; that it is the same is seen below.
        place = {"data.path": wanted.data.path} if wanted.data.path else {}
        heard = Say()
        source = read_source(recipe.with_values(place, allow_code=allow_code), heard)
        say.sentences += heard.sentences
    processes.lead(lambda: _refuse_other_data(source, recipe, folder))
    work = cross_validate if recipe.evaluate.folds else train_once
    budget = Budget(recipe.train.minutes * 60, began) if recipe.train.minutes else None
    results = work(folder, recipe, source, say, ctrl_c, allow_code, budget)
    if results is None:
        raise _interrupted(run)
    wall, processor = watch.seconds()
    wall += results.earlier_seconds

    def finish() -> str:
        write_results(folder, load_recipe(stored, allow_code=allow_code), results, source, say, wall, allow_code)
        write_record(
            folder / "machine.json",
            {
                **describe_machine(),
                "processes": processes.size,
                "seconds": wall,
                # The system counts these for one process, and a resumed run has had several.
                "last_process": {"processor_seconds": processor, "peak_bytes": peak_bytes()},
            },
        )
        done = run.finish()
        say("done", path=str(done.path), seconds=round(wall, 1))
        return str(done.path)

    return Run(processes.lead(finish))


def _refuse_other_data(source: Source, recipe: Recipe, folder: Path) -> None:
    if not (folder / "data.json").exists():
        return
    record = read_record(folder / "data.json")
    refuse_changed_files(recipe, record, folder)
    if record["sha256"] != source.sha256:
        raise UsageError(
            f"{source.path} changed since {folder} was begun, or is other data; put it back, or train anew without "
            "--resume"
        )


def _remove(partial: Path, made: Sequence[Path]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def _interrupted(run: Run) -> Interrupted:
    final = run.path.with_name(run.name)
    return Interrupted(f"stopped by Ctrl-C and saved in {run.path}; go on with --resume --out {final}", str(run.path))


def _wanted(
    data: str | os.PathLike[str] | None,
    recipe: Recipe | str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
    allow_code: bool,
) -> tuple[Recipe, Fields]:
    """The recipe that is asked for, and those of its fields that a recipe or an option gave."""
    if isinstance(recipe, (str, os.PathLike)):
        recipe = load_recipe(Path(recipe), allow_code=allow_code)
    if overrides.get("preset") and recipe is not None and not any(is_open(recipe, name) for name in PRESET_FIELDS):
        raise UsageError("the recipe leaves nothing open for a preset to settle; leave one of the two out")
    values = dict(overrides)
    if data is not None:
        values["data.path"] = os.fspath(data)
    base = recipe if recipe is not None else recipe_from_plain({}, "the defaults")
    given = {(section, name) for section in base.model_fields_set for name in getattr(base, section).model_fields_set}
    return base.with_values(values, allow_code=allow_code), given | {find_field(name) for name in values}


def _refuse_others(stored: Recipe, wanted: Recipe, given: Fields, run: Run) -> None:
    """Hold a run that is gone on with, or is finished, to the recipe it was begun with.

    Raises: UsageError where a field that is given now says something else.
    """
    begun, now = stored.to_plain(), wanted.to_plain()
    for section, name in sorted(given - {("data", "path")}):
        value, before = now[section][name], begun[section][name]
        if name == "accumulate" and value == 1:
            # As it is settled for several processes: a piece each.
            value = current().size
        if value not in ("auto", before):
            if run.complete:
                raise UsageError(
                    f"{run.path} was trained with {name} = {before!r} and is finished, so {value!r} changes nothing; "
                    "leave that option out, or train anew with another --out"
                )
            raise UsageError(
                f"{run.path} was begun with {name} = {before!r} and cannot go on with {value!r}; "
                "leave that option out, or train anew without --resume"
            )


@contextmanager
def _own_random_state() -> Iterator[None]:
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
