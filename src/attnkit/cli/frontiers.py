"""Searches for smaller networks, and taught ones, in the terminal."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from attnkit.cli.progress import Narrator
from attnkit.cli.shrink_options import SearchOptions
from attnkit.cli.shrinkings import show_shrunk
from attnkit.cli.terminal import say, show_json, show_table
from attnkit.errors import UsageError


def make_otherwise(
    run: Path, asked: SearchOptions, given: bool, epochs: int | None, out: Path | None, allow_code: bool, json: bool
) -> None:
    """Search a frontier, or teach a recipe; `given` says that what goes was named too.

    Raises: UsageError where two ways of making a network are asked for at once, or epochs that a recipe names too.
    """
    from attnkit.shrink import find_frontier, teach_student

    if given or (asked.target is not None and asked.to_recipe is not None):
        raise UsageError(
            "--target searches what goes and how, and --to-recipe teaches another network: name one of the two, and "
            "leave out what says what goes"
        )
    if asked.to_recipe is not None and epochs is not None:
        raise UsageError(
            f"--epochs {epochs} is not for --to-recipe, whose recipe says how it is trained; set train.epochs in "
            f"{asked.to_recipe}"
        )
    with Narrator(quiet=json) as told:
        if asked.to_recipe is not None:
            made = teach_student(run, asked.to_recipe, out=out, progress=told, allow_code=allow_code)
            show_json(made.to_dict()) if json else show_shrunk(made)
            return
        assert asked.target is not None
        folder, account = find_frontier(
            run,
            target=asked.target,
            max_loss=asked.max_loss,
            time_allowed=asked.time,
            epochs=1 if epochs is None else epochs,
            out=out,
            resume=asked.resume,
            progress=told,
            allow_code=allow_code,
        )
    show_json({"folder": str(folder), **asdict(account)}) if json else show_frontier(folder, account)


def show_frontier(folder: Path, account: Any) -> None:
    """A line a point, the parent first."""
    before, name = account.before, account.measure.replace("_", " ")
    alone, together = before["milliseconds"]
    lines = [("the parent", _size(before["disk_bytes"]), f"{alone:.2f}", f"{together:.2f}", _figure(before), "", "")]
    for one in account.kept:
        value, low, high = one.difference
        size = f"{_size(one.disk_bytes)} ({one.disk_bytes / before['disk_bytes']:.0%})"
        times = [f"{ms:.2f} ({ratio:.0%})" for ms, ratio in zip(one.milliseconds, one.ratios, strict=True)]
        figure, test = _figure(asdict(one)), "" if one.test is None else f"{one.test[0]:.4f}"
        lines.append((one.name, size, *times, figure, f"{value:+.4f} [{low:+.4f}, {high:+.4f}]", test))
    say("", f"Chosen on {account.validation_rows:,} validation rows; {account.said}", style="bold")
    show_table(("network", "on disk", "ms alone", "ms of 32", name, "difference", "test"), lines)
    say("ms: processor time a text, alone and in batches of 32, in turns with the parent; 95 % intervals.", style="dim")
    say("", f"The runs and the picture are in {folder}: {folder / 'frontier.svg'}")


def _figure(side: Any) -> str:
    return f"{side['value']:.4f} [{side['low']:.4f}, {side['high']:.4f}]"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
