"""What `attn tune` takes as recipe fields, what it says on the way, and the table at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from attnkit.cli.progress import Narrator
from attnkit.cli.terminal import say, show_table

Positive = Annotated[int, Parameter(validator=validators.Number(gte=1))]
_MOST_LINES = 10


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What of the recipe's [tune] the command line gives; what is None stays as the recipe has it."""

    space: Annotated[
        tuple[str, ...],
        Parameter(help="A field and its values, as in model.width=[64,128]; may be repeated.", show_default=False),
    ] = ()
    sampler: Annotated[
        Literal["bayesian", "gp", "random", "grid"] | None, Parameter(help="What chooses the next setting.")
    ] = None
    pruner: Annotated[
        Literal["median", "halving", "none"] | None, Parameter(help="Which trials are stopped early.")
    ] = None
    trials: Annotated[Positive | None, Parameter(help="Settings tried; 20 where neither this nor --time is given.")] = (
        None
    )
    time: Annotated[str | None, Parameter(help="Wall time of the whole command, such as 90s, 10m or 1h30m.")] = None
    folds: Annotated[Positive | None, Parameter(help="Measure each setting in this many folds.")] = None
    seeds: Annotated[Positive | None, Parameter(help="Trainings of each setting, averaged.")] = None

    def values(self) -> dict[str, Any]:
        """Recipe fields by name.

        Raises: UsageError where a word of --space has no "=", or --time is no time.
        """
        from attnkit.train.budget import minutes_of
        from attnkit.tune.asked import space_from_words

        minutes = minutes_of(self.time) if self.time is not None else None
        given: dict[str, Any] = {"trials": self.trials, "tune_minutes": minutes, "tune_folds": self.folds}
        given |= {"tune_seeds": self.seeds}
        given |= {"sampler": self.sampler, "pruner": self.pruner, "space": space_from_words(self.space) or None}
        return {name: value for name, value in given.items() if value is not None}


NO_SEARCH = SearchSettings()


class StudyNarrator(Narrator):
    """Says one line a trial, and then what the last training says."""

    def _on_search(self, search: dict[str, Any]) -> None:
        count = f"{search['wanted']} settings" if search["wanted"] else "settings until the time is over"
        crew = f"{search['workers']} workers" if search["workers"] > 1 else "one worker"
        self._line(f"searching {len(search['fields'])} fields: {count}, {crew}")

    def _on_trial(self, trial: dict[str, Any]) -> None:
        if trial["state"] == "running":
            return
        of = f"{trial['done']} of {trial['wanted']}" if trial["wanted"] else f"{trial['done']}"
        figure = f" {trial['value']:.4f}" if trial["value"] is not None else ""
        best = ", the best so far" if trial["best"] else ""
        why = f" ({trial['reason']})" if trial["reason"] and trial["state"] != "pruned" else ""
        whose = ", the setting without tuning" if trial["default"] else ""
        self._line(
            f"[{of}] trial {trial['number']}: {trial['state']}{figure}{best}{whose}{why}  ({trial['seconds']:.0f} s)"
        )
        if trial["setting"]:
            self._line(f"    {in_words(trial['setting'])}", style="dim")


def in_words(setting: Mapping[str, Any]) -> str:
    """A setting on one line."""
    from attnkit.tune.page import show_value

    return ", ".join(f"{name.partition('.')[2]} {show_value(value)}" for name, value in setting.items())


def show_study(study: Any) -> None:
    """The leaderboard of a finished study, what its best figure is worth, where it is, and what to do next."""
    from attnkit.tune.leaderboard import honesty

    record = study.leaderboard
    rows = []
    for entry in record["complete"][:_MOST_LINES]:
        held = f" [{entry['low']:.4f}, {entry['high']:.4f}]" if entry["low"] is not None else ""
        tied = "" if entry["rank"] == 1 else "tie" if entry["tied"] else "worse"
        cost = f"{entry['core_seconds']:,.1f}"
        figure = f"{entry['value']:.4f}{held}"
        rows.append((entry["rank"], entry["number"], figure, tied, cost, in_words(entry["setting"])))
    say("")
    columns = ("place", "trial", record["measure"].replace("_", " "), "", "core-s", "setting")
    show_table(columns, rows, right=("place", "trial", "core-s"))
    if len(record["complete"]) > _MOST_LINES:
        say(f"and {len(record['complete']) - _MOST_LINES} more in {study.path / 'leaderboard.json'}", style="dim")
    if record["importance"]:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in record["importance"]["shares"].items())
        say(f"What mattered, as shares of the spread: {shares}.")
    say("", *honesty(record), f"{record['protocol'][:1].upper()}{record['protocol'][1:]}.")
    say("", f"The study is in {study.path}; its page is {study.path / 'report.html'}", "Next:")
    if study.final is not None:
        say(f"  attn evaluate {study.final.path}")
    say(f"  attn train --recipe {study.path / 'best.toml'}")
