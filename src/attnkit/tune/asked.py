"""What a study is asked to do: the recipe with its space, settled far enough that nothing is refused later."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.listing import STUDY_MARK
from attnkit.run.recipe import Recipe, find_field, load_recipe, parse_value, recipe_from_plain
from attnkit.train.assemble import labeled_only, split_source
from attnkit.train.events import Say
from attnkit.train.named_files import refuse_missing
from attnkit.train.parallel.processes import ALONE
from attnkit.train.parallel.sharing import check_shared_out
from attnkit.train.prepare import Source, check_source, read_source
from attnkit.train.settle import settle
from attnkit.tune.default_space import default_space
from attnkit.tune.directory import Study
from attnkit.tune.objective import held_out
from attnkit.tune.plan import FEW_TRIALS, Plan
from attnkit.tune.space import Space, parse_space

_LIMITS = {"trials", "tune_minutes", "retries", "lease_seconds"}
_PLACE = ("data", "path")


@dataclass(frozen=True)
class Asked:
    """The recipe that is asked for, the fields of it that were given, and those of them that options fix."""

    recipe: Recipe
    given: frozenset[tuple[str, str]]
    fixed: frozenset[str]

    @property
    def wanted(self) -> int:
        """How many trials there will be; 0 where time alone decides."""
        settings = self.recipe.tune
        return settings.trials or (0 if settings.tune_minutes or settings.sampler == "grid" else FEW_TRIALS)


def asked_for(
    data: str | os.PathLike[str] | None,
    recipe: Recipe | str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
    allow_code: bool,
) -> Asked:
    """Put the options on the recipe.

    Raises: UsageError where one of them is wrong, or says what a study cannot honor.
    """
    if isinstance(recipe, (str, os.PathLike)):
        recipe = load_recipe(Path(recipe), allow_code=allow_code)
    base = recipe if recipe is not None else recipe_from_plain({}, "the defaults")
    values = {".".join(find_field(name)): value for name, value in overrides.items()}
    if len(values) < len(overrides):
        names = [".".join(find_field(name)) for name in overrides]
        raise UsageError(f"{next(name for name in names if names.count(name) > 1)} is given twice; keep one of the two")
    if data is not None:
        values["data.path"] = os.fspath(data)
    whole = base.with_values(values, allow_code=allow_code)
    if whole.evaluate.folds:
        raise UsageError(
            f"evaluate.folds = {whole.evaluate.folds} tests every row, so none is left for the end of a study; give "
            "tune.tune_folds, which leaves the test rows out"
        )
    if whole.model.language != "none":
        raise UsageError("a study chooses settings by labels, and model.language predicts words; leave it out")
    if whole.tasks.also:
        raise UsageError("a study chooses the settings of one task; leave tasks.also out")
    if whole.train.minutes:
        raise UsageError("train.minutes is the time of one training; give the time of a study as tune.tune_minutes")
    given = {(section, name) for section in base.model_fields_set for name in getattr(base, section).model_fields_set}
    given |= {find_field(name) for name in values}
    return Asked(whole, frozenset(given), frozenset(name for name, value in values.items() if value != "auto"))


def space_from_words(words: Iterable[str]) -> dict[str, Any]:
    """The space that words such as `model.width=[64,128]` of a command line give.

    Raises: UsageError where a word has no "=", or a field stands twice.
    """
    space: dict[str, Any] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--space takes field=values, such as model.width=[64,128], and got {word!r}")
        if name.strip() in space:
            raise UsageError(f"--space names {name.strip()} twice; keep one of the two")
        space[name.strip()] = parse_value(values.strip())
    return space


def make_plan(asked: Asked, name: str, say: Say, allow_code: bool) -> tuple[Plan, Source, dict[str, Any] | None]:
    """The plan, the data, and the setting without tuning as the sampler calls it (None where the space leaves it out).

    Raises: UsageError where data, recipe or space are wrong.
    """
    check_shared_out(asked.recipe, ALONE)
    refuse_missing(asked.recipe)
    source = read_source(asked.recipe, say)
    check_source(source.examples(), source.schema, say)
    recipe = asked.recipe.with_values({"data.path": str(source.path.absolute())}, allow_code=allow_code)
    rows = split_source(source, recipe)
    train = labeled_only(rows, Say()).train
    settled = settle(recipe, train, allow_code)[0].recipe
    space = _space(asked, recipe, settled, len(train), say, allow_code)
    recipe = recipe.with_values({"tune.space": space.to_plain()}, allow_code=allow_code)
    if recipe.tune.sampler == "grid":
        space.grid()
    parts = held_out(source, recipe, say)
    measured = sum(len(part.test) for part in parts)
    select = source.task.select
    plan = Plan(
        name=name,
        recipe_tables=recipe.to_plain(),
        data_path=recipe.data.path,
        sha256=source.sha256,
        measure=select.measure,
        higher_is_better=select.higher_is_better,
        protocol=_protocol(recipe, measured, len(rows.test)),
        rows=measured,
        sizes={"train": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)},
        allow_code=allow_code,
    )
    plain = settled.to_plain()
    default = space.encode({field: plain[field.split(".")[0]][field.split(".")[1]] for field in space.axes})
    return plan, source, default


def _space(asked: Asked, recipe: Recipe, settled: Recipe, rows: int, say: Say, allow_code: bool) -> Space:
    plain = recipe.tune.space
    if plain:
        space = parse_space(plain, recipe, allow_code=allow_code)
        both = sorted(asked.fixed & space.axes.keys())
        if both:
            raise UsageError(f"{both[0]} is given and searched as well; take it out of tune.space, or do not give it")
        return space
    space = parse_space(default_space(settled, rows, asked.fixed), recipe, allow_code=allow_code)
    say("said", sentence=f"the recipe names no space, so these are searched: {', '.join(space.axes)}")
    return space


def _protocol(recipe: Recipe, measured: int, test: int) -> str:
    settings = recipe.tune
    if settings.tune_folds:
        how = (
            f"each setting is trained in {settings.tune_folds} folds of all rows but the test rows and measured on the "
            f"{measured:,} held-out rows together; each fold chooses its epoch on rows of its own training part"
        )
    else:
        how = f"each setting is measured on the {measured:,} validation rows, by which its epoch is chosen as well"
    seeds = f"; the mean of {settings.tune_seeds} training seeds" if settings.tune_seeds > 1 else "; one training seed"
    unread = f"; the {test:,} test rows are not read by the search" if test else "; there are no test rows"
    return f"{how}{seeds}{unread}"


def refuse_others(plan: Plan, asked: Asked, folder: Path) -> None:
    """Hold a study to the recipe it was begun with; only the limits of an unfinished one may change.

    Raises: UsageError where a field that is given now says something else.
    """
    begun, now = plan.recipe.to_plain(), asked.recipe.to_plain()
    for section, name in sorted(asked.given - {_PLACE}):
        value, before = now[section][name], begun[section][name]
        changed = value not in ("auto", before) and not (section == "tune" and (name in _LIMITS or value == {}))
        if changed and not (section == "tune" and name == "space" and _same_space(plan, asked)):
            raise UsageError(
                f"{folder} was begun with {section}.{name} = {before!r} and cannot go on with {value!r}; leave that "
                "out, or tune anew without --resume"
            )


def refuse_more(study: Study, asked: Asked, allow_code: bool) -> None:
    """Hold a finished study to what it was.

    Raises: UsageError where more trials, other limits or another recipe are asked for.
    """
    plan = Plan.from_dict(study.record["plan"], str(study.path / STUDY_MARK), allow_code=allow_code)
    tune, before = asked.recipe.tune, plan.recipe.tune
    given = {name for section, name in asked.given if section == "tune"} & _LIMITS
    more = "trials" in given and tune.trials != before.trials and asked.wanted > study.leaderboard["counted"]
    others = sorted(name for name in given - {"trials"} if getattr(tune, name) != getattr(before, name))
    if more or others:
        name = "trials" if more else others[0]
        why = "its test rows were read" if study.final is not None else "its workers have ended"
        raise UsageError(
            f"{study.path} is finished and takes no more trials, since {why}; leave tune.{name} = "
            f"{getattr(tune, name)!r} out, or tune anew with another --out"
        )
    refuse_others(plan, asked, study.path)


def gone_on(plan: Plan, asked: Asked) -> Asked:
    """What an unfinished study is asked to do: its own recipe, with the limits that are given now."""
    limits = {f"tune.{name}": getattr(asked.recipe.tune, name) for name in _LIMITS if ("tune", name) in asked.given}
    return Asked(plan.recipe.with_values(limits, allow_code=plan.allow_code), asked.given, asked.fixed)


def _same_space(plan: Plan, asked: Asked) -> bool:
    space = parse_space(asked.recipe.tune.space, asked.recipe, allow_code=plan.allow_code)
    return space.to_plain() == plan.recipe.tune.space
