"""find_frontier(run, ...): structures are tried, the promising ones trained, all numbers measured, the best kept."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from attnkit.errors import FailedError, UsageError
from attnkit.model.changes import Change
from attnkit.run.directory import Run
from attnkit.run.lock import locked
from attnkit.run.record import file_sha256
from attnkit.shrink.frontier.account import FILE, Account
from attnkit.shrink.frontier.making import Making
from attnkit.shrink.frontier.measuring import measure_all
from attnkit.shrink.frontier.picture import draw_frontier
from attnkit.shrink.frontier.points import keep_points
from attnkit.shrink.frontier.training import train_structures
from attnkit.shrink.frontier.trying import try_structures
from attnkit.shrink.frontier.wish import Target, loss_of
from attnkit.shrink.parent import Parent
from attnkit.train.budget import minutes_of
from attnkit.train.events import Listener, Say

# Of the time: how long structures are tried before some are trained, and when the last training must have ended.
TRYING, SEARCHING = 0.15, 0.8
# Validation rows by which structures are tried; all of them decide later.
ROWS = 256


def find_frontier(
    run: str | os.PathLike[str] | Run,
    *,
    target: Target = "size",
    max_loss: str = "0.5pt",
    time_allowed: str = "10m",
    epochs: int = 1,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Listener | None = None,
    allow_code: bool = False,
) -> tuple[Path, Account]:
    """The folder of the search and its account: networks smaller, or faster, than `run` that lose at most `max_loss`.

    What goes (layers, heads, inner units, words, the width of their table, rank) and in what numbers the rest is
    stored is searched together, and chosen by validation rows alone. The folder, RUN-frontier, holds frontier.json, the
    picture, the runs that were trained on the way and one for each point that was kept; a search that ended early goes
    on with `resume`.

    Raises: UsageError where a wish cannot be read, or the run cannot be shrunk; FailedError where nothing that was
    found loses so little.
    """
    if target not in ("size", "latency"):
        raise UsageError(f"--target takes size or latency, and got {target!r}")
    parent = Parent.open(run, allow_code)
    parent.refuse_behind(Change.stage, "what goes in a search")
    most, seconds = loss_of(max_loss, parent.task.select), 60 * minutes_of(time_allowed)
    folder = Path(out) if out is not None else parent.run.path.with_name(f"{parent.run.name}-frontier")
    begun = time.monotonic()
    account = _opened(folder, parent, target, most, epochs, resume)
    say = Say(progress)
    earlier = account.seconds
    until = begun - earlier + seconds

    def keep() -> None:
        account.seconds = earlier + time.monotonic() - begun
        account.save(folder)

    with locked(folder):
        if account.state != "done":
            keep()
            _search(account, parent, folder, until, seconds, epochs, keep, say, allow_code)
    if not account.kept:
        raise FailedError(account.said)
    return folder, account


def _opened(folder: Path, parent: Parent, target: str, max_loss: float, epochs: int, resume: bool) -> Account:
    sha256 = file_sha256(parent.run.path / "model" / "weights.safetensors")
    if (folder / FILE).exists():
        if not resume:
            raise UsageError(f"{folder} holds a search; go on with --resume, delete it, or choose another --out")
        account = Account.load(folder)
        if account.parent_sha256 != sha256:
            raise UsageError(f"{folder} is a search from other weights than those of {parent.run.path}; begin anew")
        if (account.target, account.max_loss, account.epochs) != (target, max_loss, epochs):
            raise UsageError(
                f"{folder} was begun with --target {account.target}, a loss of {account.max_loss:g} and --epochs "
                f"{account.epochs}; go on with the same, or choose another --out"
            )
        return account
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} already exists; choose another name with --out, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    measure, metrics = parent.task.select.measure, parent.run.metrics
    path = str(parent.run.path.absolute())
    before = {"run": path, "value": float(metrics["validation"][measure]["value"])}
    higher = parent.task.select.higher_is_better
    rows = int(metrics["sizes"]["validation"])
    return Account(path, sha256, target, max_loss, measure, higher, rows, before, epochs)


def _search(
    account: Account,
    parent: Parent,
    folder: Path,
    until: float,
    seconds: float,
    epochs: int,
    keep: Callable[[], None],
    say: Say,
    allow_code: bool,
) -> None:
    making = Making.of(parent, ROWS)
    part, end = parent.part("validation", ROWS), until - (1 - SEARCHING) * seconds
    before = -1
    while account.state == "searching" and len(account.tried) + len(account.trained) > before:
        # As long as the smallest will do, there may be smaller ones.
        before = len(account.tried) + len(account.trained)
        try_structures(account, parent, making, part, min(end, time.monotonic() + TRYING * seconds), keep)
        say("said", sentence=f"{len(account.tried)} structures were tried on {len(part):,} validation rows")
        train_structures(account, parent, making, folder, end, epochs, keep, say, allow_code)
    account.state = "measuring"
    keep()
    measure_all(account, parent, folder, keep, allow_code)
    keep_points(account, parent, folder, keep, say, allow_code)
    account.said = _said(account)
    account.state = "done"
    draw_frontier(folder, account)
    keep()


def _said(account: Account) -> str:
    tried = f"{len(account.tried)} structures were tried, {len(account.trained)} trained"
    if account.kept:
        return f"{tried}, {len(account.measured)} networks measured; {len(account.kept)} points are kept"
    others = [one for one in account.measured if not (one.structure.whole and one.numbers == "float32")]
    best = min(others, key=lambda one: account.lost(one.value))
    return (
        f"nothing smaller loses at most {account.max_loss:g} {account.measure} on the {account.validation_rows:,} "
        f"validation rows ({tried}); the nearest ({best.structure.said()}, {best.numbers}) loses "
        f"{account.lost(best.value):.4f}: raise --max-loss, or give more --time"
    )
