"""What a study is, how far it came, what is missing, and what to do with it."""

import os
from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.directory import PARTIAL
from attnkit.run.listing import STUDY_MARK
from attnkit.train.explain import Explained, explain
from attnkit.tune.account import counts
from attnkit.tune.directory import FINAL, STUDY_FILES, Study, recorded
from attnkit.tune.leaderboard import honesty
from attnkit.tune.page import show_value
from attnkit.tune.search import Search


def explain_path(path: str | os.PathLike[str], *, allow_code: bool = False) -> Explained:
    """What stands at `path`: a study, or whatever else `train.explain` knows.

    Raises: UsageError where nothing does, or where a file of ours is damaged.
    """
    place = Path(path)
    return explain_study(place) if (place / STUDY_MARK).is_file() else explain(place, allow_code=allow_code)


def explain_study(place: Path) -> Explained:
    """What the study at `place` searched, found and lost.

    Raises: UsageError where a file of it is damaged.
    """
    study = Study(place)
    plan = study.plan
    found = Explained(str(place), "study" if study.complete else "unfinished study")
    found.missing = [name for name in STUDY_FILES if not (place / name).is_file()]
    settings = plan.recipe_tables["tune"]
    found.sentences += [
        f"{'A finished' if study.complete else 'An unfinished'} study of settings on {plan.data_path}.",
        f"Searched by {settings['sampler']}, pruned by {settings['pruner']}: {', '.join(settings['space'])}.",
        f"Protocol: {plan.protocol}.",
    ]
    if not study.complete:
        found.sentences.append(_progress(study))
        found.next = [f"attn tune --resume --out {place.with_name(study.name)}", f"attn tune --join {place}"]
        return found
    if found.missing:
        found.sentences.append("Its directory is not whole.")
        return found
    record = study.leaderboard
    found.sentences.append(f"Trials: {_tally(record['counts'])}; {record['core_seconds']:,.0f} core-seconds.")
    if record["complete"]:
        best = record["complete"][0]["setting"]
        found.sentences.append(
            f"Best setting: {', '.join(f'{name} = {show_value(value)}' for name, value in best.items())}."
        )
    found.sentences += honesty(record)
    found.next = [f"attn train --recipe {place / 'best.toml'}"]
    if study.final is not None:
        found.next.append(f"attn evaluate {place / FINAL}")
    return found


def _progress(study: Study) -> str:
    try:
        where, name = recorded(study, "")
        lines = Search.open(where, name, study.path, allow_code=True).lines()
    except UsageError as error:
        return f"How far it came is not known: {error}."
    if (study.path / f"{FINAL}{PARTIAL}").is_dir() or (study.path / FINAL).is_dir():
        return f"The search is done ({_tally(counts(lines))}); the best setting is being trained."
    return f"Trials: {_tally(counts(lines)) or 'none yet'}."


def _tally(held: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in held.items())
