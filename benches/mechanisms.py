"""Which attention pools best, and which attends best inside a transformer, on small sets of texts?

    ATTNKIT_DATA=FOLDER python -m benches.mechanisms --out FOLDER [--only NAME]

Runs `compare` (what `attn compare` calls) for each question below, three seeds each, and goes on where it was stopped.
Measured on validation rows, and on the test rows once, when all is trained. Writes
benches/results/DATE-mechanisms.md from what stands in the folder.
"""

import argparse
import datetime
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attnkit.compare import compare
from attnkit.run.record import read_record
from attnkit.train.events import Event

POOLING = (
    "bahdanau", "vaswani", "luong-dot", "luong-general", "cosine", "euclidean", "sparsemax", "entmax-1.5", "sigmoid",
    "top-k",
)  # fmt: skip
LAYER = ("vaswani", "bahdanau", "luong-general", "cosine", "euclidean", "rope", "t5", "sparsemax", "linear")
SEEDS = 3


@dataclass(frozen=True)
class Question:
    """A data set, what is compared on it, and the recipe fields that make the network."""

    data: str
    mechanisms: tuple[str, ...]
    fields: Mapping[str, Any]
    said: str


ALONE = {"encoder": "none", "beside": ()}
QUESTIONS = {
    "trec-alone": Question("trec", POOLING, ALONE, "pooling of word embeddings, nothing beside it"),
    "subjectivity-alone": Question(
        "subjectivity", POOLING, {**ALONE, "train_share": 0.5}, "pooling of word embeddings, nothing beside it"
    ),
    "trec-cnn": Question(
        "trec",
        POOLING,
        {"encoder": "cnn", "width": 64, "embedding_width": 64},
        "pooling over a cnn, a maximum beside it",
    ),
    "trec-transformer": Question(
        "trec", LAYER, {"encoder": "transformer", "width": 128, "embedding_width": 128}, "inside one transformer layer"
    ),
}


def main() -> int:
    """Run what is left, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the comparisons")
    parser.add_argument("--only", action="append", choices=list(QUESTIONS), help="a question; all where left out")
    given = parser.parse_args()
    if "ATTNKIT_DATA" not in os.environ:
        parser.error("ATTNKIT_DATA names no folder of data sets")
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.only or QUESTIONS:
        one, place = QUESTIONS[name], given.out / name
        data = Path(os.environ["ATTNKIT_DATA"]) / one.data
        compare(
            data, mechanisms=one.mechanisms, seeds=SEEDS, out=place, resume=place.exists(), test=True, progress=_told,
            **one.fields,
        )  # fmt: skip
    found = {name: read_record(path) for name in QUESTIONS if (path := given.out / name / "results.json").exists()}
    today = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / f"{today}-mechanisms.md"
    path.write_text(f"# Mechanisms compared, {today}\n\n" + "\n".join(map(section, found, found.values())), "utf-8")
    print(f"written to {path}")
    return 0


def section(name: str, record: Mapping[str, Any]) -> str:
    """One question: protocol, table, and what may be concluded from either part."""
    one, test = QUESTIONS[name], record["test"]
    lines = [
        f"## {one.data}: {one.said}", "", f"{record['protocol']}.", "",
        f"| | validation | beside {record['reference']} | p | verdict | test | verdict | parameters | core-s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    tested = {line["name"]: line for line in test["arms"]}
    for line in sorted((line for line in record["arms"] if "mean" in line), key=lambda line: line["rank"]):
        other = tested[line["name"]]
        verdict = (other.get("difference") or {}).get("verdict", "")
        lines.append(
            f"| {line['name']} | {_figure(line)} | {_difference(line)} | {_figure(other)} | {verdict} | "
            f"{line['parameters']:,} | {line['core_seconds']:.1f} |"
        )
    lines += ["", "Validation: " + " ".join(record["conclusions"]), "", "Test: " + " ".join(test["conclusions"]), ""]
    return "\n".join(lines)


def _figure(line: Mapping[str, Any]) -> str:
    return f"{100 * line['mean']:.1f} [{100 * line['low']:.1f}, {100 * line['high']:.1f}]"


def _difference(line: Mapping[str, Any]) -> str:
    one = line.get("difference")
    if not one:
        return " | | "
    points = f"{100 * one['value']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
    return f"{points} | {one['adjusted']:.3f} | {one['verdict']}"


def _told(event: Event) -> None:
    if event.kind == "said":
        print(event.values["sentence"], flush=True)


if __name__ == "__main__":
    sys.exit(main())
