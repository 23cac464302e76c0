"""A checkpoint: everything a training loop needs to go on, in one safetensors file, whole or not there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.files import write_bytes

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by group ("model", "best", "average", "optimizer", "random") and plain facts (epoch, step, history)."""

    groups: dict[str, dict[str, Tensor]]
    facts: dict[str, Any]


def save_checkpoint(path: Path, groups: Mapping[str, Mapping[str, Tensor]], facts: dict[str, Any]) -> None:
    """Write a checkpoint in one step; a crash leaves the one before it."""
    flat = {f"{group}/{name}": x.detach().contiguous() for group, held in groups.items() for name, x in held.items()}
    metadata = {"format": str(FORMAT), "facts": json.dumps(facts)}
    write_bytes(path, safetensors.torch.save(_unshared(flat), metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises: UsageError where it is damaged or of a format this version does not know.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != str(FORMAT):
        raise UsageError(f"{path} has checkpoint format {metadata.get('format')!r}, this version reads {FORMAT}")
    try:
        facts = json.loads(metadata["facts"])
    except (KeyError, ValueError, RecursionError):
        raise UsageError(f"{path} is not a checkpoint: it holds no facts; start the run again") from None
    groups: dict[str, dict[str, Tensor]] = {}
    for name, x in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = x
    return Checkpoint(groups, facts)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file.

    Raises: UsageError where the file is missing, cut short or not safetensors.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise UsageError(f"{path} is missing; copy the whole run directory again") from None
    except (SafetensorError, OSError, RuntimeError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is not a whole safetensors file ({error}); copy the run directory again") from None


def random_state() -> dict[str, Tensor]:
    """The state of torch's default generator, from which weights, dropout and word dropout are drawn."""
    return {"torch": torch.get_rng_state()}


def set_random_state(states: Mapping[str, Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(states["torch"])


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses two names for one memory; "best" may still be the current weights.
    seen: set[int] = set()
    for name, x in tensors.items():
        place = x.untyped_storage().data_ptr()
        if x.numel() and place in seen:
            tensors[name] = x.clone()
        seen.add(place)
    return tensors
