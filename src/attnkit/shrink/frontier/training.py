"""The second part of a search: the promising structures are trained on a little, the cheapest that can do first."""

import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from attnkit.run.directory import PARTIAL, Run
from attnkit.shrink.child import child_recipe
from attnkit.shrink.frontier.account import Account, Trained, Tried
from attnkit.shrink.frontier.making import Making
from attnkit.shrink.frontier.structure import Structure
from attnkit.shrink.frontier.trying import front
from attnkit.shrink.parent import Parent
from attnkit.train.events import Event, Listener, Say
from attnkit.train.training import train


def train_structures(
    account: Account,
    parent: Parent,
    making: Making,
    folder: Path,
    until: float,
    epochs: int,
    keep: Callable[[], None],
    say: Say,
    allow_code: bool = False,
) -> None:
    """Train what is on the frontier, by halves, as long as another training ends before `until`.

    What loses too much is followed by what is less small, and what does not by what is smaller. The children imitate
    the parent, and their test rows stay unread.
    """
    done = {one.structure: one for one in account.trained}
    order = [one for one in front(account) if not one.structure.whole]
    low, high = 0, len(order) - 1
    while low <= high:
        middle = (low + high) // 2
        one = _trained(account, parent, making, folder, until, epochs, done, order[middle], keep, say, allow_code)
        if one is None:
            return
        low, high = (low, middle - 1) if account.lost(one.value) <= account.max_loss else (middle + 1, high)


def _trained(
    account: Account,
    parent: Parent,
    making: Making,
    folder: Path,
    until: float,
    epochs: int,
    done: dict[Structure, Trained],
    tried: Tried,
    keep: Callable[[], None],
    say: Say,
    allow_code: bool,
) -> Trained | None:
    """The structure, trained; None where the time does not allow it."""
    if tried.structure in done:
        return done[tried.structure]
    out = folder / "trained" / "-".join(map(str, astuple(tried.structure)))
    begun = time.monotonic()
    if begun + _expected(account, parent, tried, epochs) > until and not out.exists():
        return None
    if out.exists():
        run = Run.open(out)
    elif (out.with_name(out.name + PARTIAL) / "recipe.toml").exists():
        run = train(out=out, resume=True, progress=bar(say), allow_code=allow_code)
    else:
        changes = making.changes(tried.structure, parent.network())
        recipe = child_recipe(
            parent, changes, epochs=epochs, learning_rate=None, distill=True, allow_code=allow_code
        ).with_values({"evaluate.read_test": False}, allow_code=allow_code)
        run = train(recipe=recipe, out=out, resume=True, progress=bar(say), allow_code=allow_code)
    value = float(run.metrics["validation"][account.measure]["value"])
    one = Trained(tried.structure, str(run.path.relative_to(folder)), value, time.monotonic() - begun)
    account.trained.append(one)
    done[tried.structure] = one
    keep()
    lost = account.lost(value)
    say(
        "said", sentence=f"{one.structure.said()}: {account.measure} {value:.4f}, {lost:+.4f} lost, {one.seconds:.0f} s"
    )
    return one


def bar(say: Say) -> Listener | None:
    """What a training tells that is one of many: how far it has come, and nothing of its data and choices."""
    listener = say.listener
    if listener is None:
        return None

    def hear(event: Event) -> None:
        if event.kind in ("start", "step", "stop"):
            listener(event)

    return hear


def _expected(account: Account, parent: Parent, tried: Tried, epochs: int) -> float:
    """Seconds that the training will take: as the others did, or as the parent did, by their multiply-adds."""
    work = {one.structure: one.work for one in account.tried}
    if account.trained:
        return max(one.seconds * tried.work / max(1, work[one.structure]) for one in account.trained)
    metrics = parent.run.metrics
    passes = max(1, max((line["epoch"] for line in metrics["history"]), default=1))
    return float(parent.run.machine["seconds"]) / passes * epochs * tried.work / max(1, work[Structure()])
