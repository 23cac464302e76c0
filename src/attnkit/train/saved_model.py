"""model/ of a run directory: weights, settings and preprocessing; enough to predict, nothing to execute."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.files import write_bytes
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.run.checkpoint import read_tensors
from attnkit.run.record import file_sha256, read_record, write_record
from attnkit.task.base import Task
from attnkit.task.choose import task_from_dict
from attnkit.train.narrow import narrowed, without_balance
from attnkit.train.preprocessing import Preprocessing


@dataclass(frozen=True)
class SavedModel:
    """A network with its weights, and all that stands between a text and a prediction."""

    network: nn.Module
    settings: ModelSettings
    preprocessing: Preprocessing
    task: Task
    schema: Schema


def save_model(
    folder: Path,
    weights: dict[str, Tensor],
    settings: ModelSettings,
    preprocessing: Preprocessing,
    task: Task,
    schema: Schema,
    tasks: Sequence[tuple[str, Task, Schema]] = (),
) -> None:
    """Write weights.safetensors, tokenizer.json and, last, model.json with the checksums of both.

    Of several tasks `tasks` has them all, with their names, in the order of the network's outputs; `task` is the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing.save(folder)
    write_bytes(folder / "weights.safetensors", safetensors.torch.save(without_balance(weights)))
    values = {
        "model": settings.model_dump(mode="json"),
        "preprocessing": preprocessing.limits(),
        "task": task.to_dict(),
        "schema": schema.to_dict(),
        "vocabulary_size": preprocessing.tokenizer.size,
        "files": {name: file_sha256(folder / name) for name in ("weights.safetensors", "tokenizer.json")},
    }
    if tasks:
        values["tasks"] = [{"name": n, "task": one.to_dict(), "schema": held.to_dict()} for n, one, held in tasks]
    write_record(folder / "model.json", values)


def load_model(folder: Path, *, allow_code: bool = False, task: str | None = None) -> SavedModel:
    """The model saved in `folder`, for the task of that name where it learned several; None is the main one.

    Nothing is executed, except the operator `module:Name` of a recipe behind an explicit `allow_code`.

    Raises: UsageError where a file is missing, damaged, changed or does not fit the others.
    """
    values = read_record(folder / "model.json")
    try:
        for name, checksum in values["files"].items():
            _check_file(folder / name, checksum)
        settings = ModelSettings.model_validate_json(json.dumps(values["model"]))
        number, tasks = _chosen(values, task, folder)
        schema = Schema.from_dict(values["tasks"][number]["schema"] if task else values["schema"])
        preprocessing = Preprocessing.load(folder, values["preprocessing"])
        outputs = sum(one.outputs for one in tasks)
        network = _network(settings, int(values["vocabulary_size"]), outputs, folder, allow_code)
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise UsageError(f"{folder / 'model.json'} lacks or misstates {error}; copy the run directory again") from None
    if len(tasks) > 1:
        start = sum(one.outputs for one in tasks[:number])
        network = narrowed(network, slice(start, start + tasks[number].outputs)).eval()
    return SavedModel(network, settings, preprocessing, tasks[number], schema)


def _chosen(values: Mapping[str, Any], name: str | None, folder: Path) -> tuple[int, list[Task]]:
    """Which task is asked for, and all tasks of the network in the order of its outputs."""
    known = [str(one["name"]) for one in values.get("tasks", ())]
    if name is not None and name not in known:
        has = f"the tasks {', '.join(known)}" if known else "one task alone, which needs no name"
        raise UsageError(f"{folder.parent} has {has}, and none called {name!r}")
    plain = [one["task"] for one in values["tasks"]] if known else [values["task"]]
    return known.index(name) if name is not None else 0, [task_from_dict(one) for one in plain]


def _network(settings: ModelSettings, vocabulary_size: int, outputs: int, folder: Path, allow_code: bool) -> nn.Module:
    path = folder / "weights.safetensors"
    tensors, _ = read_tensors(path)
    try:
        # Shapes are compared before memory is taken, so that a wrong size is a sentence and not a crash.
        with torch.device("meta"):
            wanted = build_model(settings, vocabulary_size, outputs, allow_code=allow_code).state_dict()
        misfit = _misfit(wanted, tensors)
        if misfit:
            raise UsageError(f"{path} does not fit model.json: {misfit}; copy the run directory again")
        network = build_model(settings, vocabulary_size, outputs, allow_code=allow_code)
    except UsageError:
        raise
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"the model of {folder} cannot be built: {error}") from None
    network.load_state_dict(tensors)
    return network.eval()


def _misfit(wanted: dict[str, Any], given: dict[str, Tensor]) -> str | None:
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is not part of this model"
        if wanted[name].shape != given[name].shape:
            return f"{name} has shape {tuple(given[name].shape)} and should have {tuple(wanted[name].shape)}"
        if wanted[name].dtype != given[name].dtype:
            return f"{name} is {given[name].dtype} and should be {wanted[name].dtype}"
    return None


def _check_file(path: Path, checksum: str) -> None:
    if path.parent.joinpath(path.name).is_file():
        # A file cut short says so in its own words before its checksum is compared.
        if path.suffix == ".safetensors":
            read_tensors(path)
        if file_sha256(path) != checksum:
            raise UsageError(
                f"{path} was changed after it was written (its checksum differs); copy the run directory again"
            )
    else:
        raise UsageError(f"{path} is missing; copy the whole run directory again")
