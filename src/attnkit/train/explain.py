"""What any path is to attnkit, what is missing there, and what to do with it."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attnkit.data.readers import read
from attnkit.data.schema import infer_schema
from attnkit.errors import UsageError
from attnkit.run.checkpoint import load_checkpoint, read_tensors
from attnkit.run.directory import Run
from attnkit.run.listing import is_run
from attnkit.run.recipe import load_recipe
from attnkit.run.record import read_record
from attnkit.train.predictor import load
from attnkit.train.prepare import data_sha256

RUN_FILES = (
    "recipe.toml",
    "data.json",
    "log.jsonl",
    "metrics.json",
    "machine.json",
    "report.html",
    "model/model.json",
    "model/weights.safetensors",
    "model/tokenizer.json",
)


@dataclass
class Explained:
    """What stands at `path`: its kind, sentences about it, what is missing or wrong, and the next commands."""

    path: str
    kind: str
    sentences: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def explain(path: str | os.PathLike[str], *, allow_code: bool = False) -> Explained:
    """What stands at `path`; an operator of the user's own is imported only with `allow_code`.

    Raises: UsageError where nothing does, or where a file of ours is damaged.
    """
    place = Path(path)
    if not place.exists() and not place.is_symlink():
        partial = place.with_name(place.name + ".partial")
        hint = f"; {partial} is there, an unfinished run" if partial.is_dir() else "; check the name"
        raise UsageError(f"there is nothing at {place}{hint}")
    if is_run(place):
        return _finished(place, allow_code) if Run(place).complete else _unfinished(place)
    if place.is_file() and place.suffix == ".toml":
        load_recipe(place, allow_code=allow_code)
        return Explained(
            str(place), "recipe", ["A recipe, whole and valid."], next=[f"attn train DATA --recipe {place}"]
        )
    if place.is_file() and place.suffix == ".safetensors":
        return _weights(place)
    return _data(place)


def _finished(place: Path, allow_code: bool) -> Explained:
    found = Explained(str(place), "run", missing=[name for name in RUN_FILES if not (place / name).is_file()])
    if found.missing:
        found.sentences.append("A run directory that is not whole.")
        return found
    run, predictor = Run(place), load(place, allow_code=allow_code)
    metrics, record, recipe = run.metrics, run.data, run.recipe
    found.sentences.append(f"A finished run on {record['path']}.")
    count = sum(parameter.numel() for parameter in predictor.network.parameters())
    found.sentences.append(
        f"Model: {recipe.model.encoder} encoder, pooling {recipe.model.pooling}, {count:,} parameters, "
        f"{len(predictor.classes) or 'no'} classes."
    )
    if (place / "parent").is_file():
        parent = read_record(place / "parent")
        found.sentences.append(f"It began with the weights of {parent['said']}, at {parent['path']}.")
    sizes = ", ".join(f"{name} {rows:,}" for name, rows in metrics["sizes"].items())
    found.sentences.append(f"Rows: {sizes}. {metrics['protocol']}.")
    for part in ("test", "validation"):
        measure = metrics[part].get(metrics["select"])
        if measure:
            value = f"{measure['value']:.4f} [{measure['low']:.4f}, {measure['high']:.4f}], n = {measure['n']:,}"
            found.sentences.append(f"{part.capitalize()} {metrics['select']}: {value}.")
    found.sentences.append(_data_state(record))
    found.next = [f'attn predict {place} "a text"', f"attn evaluate {place}"]
    return found


def _data_state(record: dict[str, Any]) -> str:
    path = Path(record["path"])
    if not path.exists():
        return f"Its data no longer stands at {path}: predicting works, evaluating needs data named."
    if data_sha256(path) != record["sha256"]:
        return f"Its data at {path} changed since: predicting works, evaluating needs data named."
    return "Its data still stands there, unchanged."


def _unfinished(place: Path) -> Explained:
    found = Explained(str(place), "unfinished run", ["A run that was not finished."])
    checkpoint, folds = place / "checkpoint.safetensors", len(list((place / "folds").glob("*.safetensors")))
    if folds:
        found.sentences.append(f"{folds} of its folds {'is' if folds == 1 else 'are'} done.")
    elif checkpoint.is_file():
        facts = load_checkpoint(checkpoint).facts
        found.sentences.append(f"It stands at epoch {facts.get('epoch', 0) + 1}, step {facts.get('step', 0)}.")
    else:
        found.sentences.append("It has saved no step yet.")
    found.missing = [name for name in RUN_FILES if not (place / name).is_file()]
    found.next = [f"attn train --resume --out {place.with_name(Run(place).name)}"]
    return found


def _weights(place: Path) -> Explained:
    tensors, metadata = read_tensors(place)
    count = sum(tensor.numel() for tensor in tensors.values())
    sentences = [f"A safetensors file: {len(tensors)} tensors, {count:,} numbers."]
    if metadata.get("facts"):
        sentences.append("It is the checkpoint of a run.")
    return Explained(str(place), "weights", sentences)


def _data(place: Path) -> Explained:
    tables = read(place)
    schema = infer_schema(tables)
    rows = [f"{name} {len(table.rows):,} rows" for name, table in tables.items()]
    found = Explained(str(place), "data", [f"Data: {', '.join(rows)}.", *schema.said])
    found.next = [f"attn check {place}", f"attn train {place}"]
    return found
