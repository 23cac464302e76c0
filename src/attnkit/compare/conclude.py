"""What the figures of a comparison allow to be said, in sentences, and no more."""

from collections.abc import Mapping, Sequence
from typing import Any


def conclusions(record: Mapping[str, Any]) -> list[str]:
    """One sentence a finding: who is best, who ties, who differs from the reference, what failed, what is not known."""
    lines = [line for line in record["arms"] if "mean" in line]
    failed = [line for line in record["arms"] if line["failures"]]
    said = [] if lines else ["No arm was trained with every seed, so nothing can be compared."]
    if record["what"] == "mechanisms" and lines:
        said.append(_best(record, lines))
    if record["pairs"]:
        said += [_reference(record, lines), _pairs(record)]
    said += [
        f"{line['name']} failed with {len(line['failures'])} of {len(record['seeds'])} seeds "
        f"({line['failures'][0]['reason']}), and is not ranked."
        for line in failed
    ]
    if len(record["seeds"]) < 3:
        said.append("With fewer than three seeds, how much a figure moves from seed to seed is hardly known.")
    return [one for one in said if one]


def _best(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    best = next(line for line in lines if line["name"] == record["best"])
    tied = [line["name"] for line in lines if line["stands_out"] and line["name"] != best["name"]]
    what = record["measure"].replace("_", " ")
    if len(lines) > 1 and all(line["mean"] == best["mean"] for line in lines):
        return f"All have the same mean {what}, {best['mean']:.4f}: these figures single out none."
    figure = f"{best['name']} has the best mean {what}, {best['mean']:.4f}"
    if len(lines) == 1:
        return f"{figure}; nothing else was trained with every seed."
    if not tied:
        return f"{figure}, and no other ties with it."
    if len(tied) == len(lines) - 1:
        return f"{figure}, but every other ties with it: these figures single out none."
    return f"{figure}; {_listed(tied)} {'ties' if len(tied) == 1 else 'tie'} with it."


def _pairs(record: Mapping[str, Any]) -> str:
    apart = [one for one in record["pairs"] if one["verdict"] != "tie"]
    return (
        f"Of {len(record['pairs'])} pairs {len(apart) or 'none'} can be told apart at the level 0.05 after Holm's "
        "correction; a tie means that these rows and seeds do not tell, not that the two are equal."
    )


def _reference(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    told: dict[str, list[str]] = {"better": [], "worse": [], "tie": []}
    for line in lines:
        if line.get("difference"):
            told[line["difference"]["verdict"]].append(line["name"])
    if not any(told.values()):
        return ""
    parts = [f"{_listed(told[word])} {_verb(told[word])} {word}" for word in ("better", "worse") if told[word]]
    if told["tie"]:
        parts.append(f"{_listed(told['tie'])} {'ties' if len(told['tie']) == 1 else 'tie'} with it")
    return f"Beside {record['reference']}: {'; '.join(parts)}."


def _verb(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
