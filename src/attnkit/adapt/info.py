"""What the folder of a learner is, for who meets its path."""

import os
from pathlib import Path

from attnkit.adapt.record import BEGUN, LearnerFolder
from attnkit.run.record import read_record
from attnkit.train.explain import Explained


def explain_learner(path: str | os.PathLike[str]) -> Explained | None:
    """What stands at `path` where it is the folder of a learner; None where it is anything else.

    Raises: UsageError where it is damaged.
    """
    place = Path(path)
    if not (place / BEGUN).is_file():
        return None
    run = read_record(place / BEGUN)["run"]
    updates = [event for event in LearnerFolder.events_of(place) if event.kind == "update"]
    points = max((int(event.values["point"]) for event in updates), default=0)
    now = 0
    for event in LearnerFolder.events_of(place):
        now = int(event.values["point"]) or (now if event.kind == "update" else 0)
    undone = sum(not event.values["point"] for event in updates)
    rows = sum(int(event.values["rows"]) for event in updates)
    found = Explained(str(place), "learner")
    found.sentences = [
        f"It learned from {run}: {rows:,} rows of feedback in {len(updates)} updates, {undone} of them undone.",
        f"It stands at point {now} of {points}.",
    ]
    found.next = [
        f"attn learn {run} FEEDBACK --out {place}",
        f"attn learn {run} --out {place} --back {max(0, now - 1)}",
        f"attn learn {run} --out {place} --save NAME",
    ]
    return found
