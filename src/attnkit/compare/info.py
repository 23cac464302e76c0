"""What a directory of a comparison or a learning curve is, for who meets its path."""

import os
from pathlib import Path

from attnkit.compare.place import PLAN, RESULTS
from attnkit.errors import UsageError
from attnkit.run.record import read_record
from attnkit.train.explain import Explained

KINDS = {"mechanisms": "comparison of mechanisms", "ablation": "ablation", "curve": "learning curve"}


def explain_compared(path: str | os.PathLike[str]) -> Explained | None:
    """What stands at `path` where it is a comparison or a curve; None where it is anything else.

    Raises: UsageError where its results are damaged.
    """
    place = Path(path)
    if not (place / PLAN).is_file():
        return None
    try:
        plan = read_record(place / PLAN)
    except UsageError:
        # Data may hold a file of that name.
        return None
    if plan.get("what") not in KINDS:
        return None
    of = plan["shares"] if plan["what"] == "curve" else plan["arms"]
    planned = len(of) * len(plan["seeds"])
    verb = "curve" if plan["what"] == "curve" else "compare"
    found = Explained(str(place), KINDS[plan["what"]])
    if not (place / RESULTS).is_file():
        done = len(list((place / "cells").glob("*.validation.safetensors"))) + len(list(place.rglob("*.failed.json")))
        found.kind = f"unfinished {found.kind}"
        found.sentences = [f"{done} of {planned} trainings are done."]
        found.missing = [RESULTS]
        found.next = [f"attn {verb} ... --out {place} --resume"]
        return found
    record = read_record(place / RESULTS)
    found.sentences = [f"{planned} trainings: {record['protocol']}."]
    if plan["what"] == "curve":
        found.sentences.append(record["forecast"]["sentence"])
    else:
        found.sentences += (record["test"] or record)["conclusions"]
    found.next = [f"attn runs {place / 'cells'}", f"see {place / 'report.html'}"]
    return found
