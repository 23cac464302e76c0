"""The folder of a Hugging Face checkpoint of the BERT family as a start, without transformers."""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from attnkit.data.tokens import checkpoint_tokenizer
from attnkit.errors import UsageError
from attnkit.model.settings import ModelSettings
from attnkit.run.checkpoint import read_tensors
from attnkit.train.start.families import Family, family_of, our_name
from attnkit.train.start.start import Start

_WEIGHTS = "model.safetensors"


def start_from_checkpoint(folder: Path) -> Start:
    """The encoder and the tokenizer in `folder`: config.json, model.safetensors, tokenizer.json or vocab.txt.

    Rows of the word table stand where our tokenizer numbers them, and weights are float32 whatever they were saved in.

    Raises: UsageError where a file is missing, damaged or does not fit the others, or the model is of another family.
    """
    config = _config(folder)
    family = family_of(config, str(folder / "config.json"))
    settings = _settings(config, family, folder)
    held = checkpoint_tokenizer(folder)
    weights: dict[str, Tensor] = {}
    left: set[str] = set()
    for name, value in _tensors(folder).items():
        ours = our_name(family, name)
        if name.endswith("position_ids"):
            continue
        if ours is None:
            left.add(_part(name))
        else:
            weights[ours] = value.float()
    table = weights.get("embedding.rows.weight")
    if table is None or table.ndim != 2 or len(table) < held.tokenizer.size:
        given = "none" if table is None else f"{len(table)} rows"
        raise UsageError(f"{folder} has {held.tokenizer.size} tokens and a table of {given}; copy the checkpoint again")
    weights["embedding.rows.weight"] = table[torch.tensor(held.row)]
    # What was learned for padding is never read, as padding is hidden; our tables hold zeros there.
    weights["embedding.rows.weight"][0] = 0
    if "places.positions.weight" in weights:
        weights["places.positions.weight"] = weights["places.positions.weight"][family.first_position :].clone()
    weights.setdefault("places.sides.weight", torch.zeros(settings.sides, int(settings.embedding_width)))
    said = f"the {config['model_type']} checkpoint {folder.absolute().name}"
    return Start(
        folder, said, held.tokenizer, settings, weights, longest_tokens=settings.positions, left=tuple(sorted(left))
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); copy the checkpoint again") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path} is not the configuration of a model; copy the checkpoint again")
    return config


def _settings(config: dict[str, Any], family: Family, folder: Path) -> ModelSettings:
    """The [model] section of the network that the checkpoint is, as far as it says."""
    given = {ours: config[theirs] for ours, theirs in family.sizes.items() if theirs in config and ours != "activation"}
    missing = [
        family.sizes[ours] for ours in ("width", "layers", "heads", "inner_width", "positions") if ours not in given
    ]
    if missing:
        raise UsageError(f"{folder / 'config.json'} lacks {missing[0]}; copy the checkpoint again")
    try:
        given["positions"] = given["positions"] - family.first_position
        given["norm_epsilon"] = float(given.get("norm_epsilon", 1e-12))
        if "sides" not in family.sizes:
            given["sides"] = 1
        given.setdefault("embedding_width", given["width"])
        return ModelSettings(encoder="bert", hierarchical=False, ngrams=0, words_beside=False, **given)
    except (ValidationError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{folder / 'config.json'} holds a size that no network can have: {reason}") from None


def _tensors(folder: Path) -> dict[str, Tensor]:
    index = folder / f"{_WEIGHTS}.index.json"
    if (folder / _WEIGHTS).is_file():
        return read_tensors(folder / _WEIGHTS)[0]
    if index.is_file():
        try:
            files = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{index} cannot be read ({error}); copy the checkpoint again") from None
        if any(Path(str(name)).name != name for name in files):
            raise UsageError(f"{index} names files outside of {folder}; copy the checkpoint again")
        return {name: value for file in files for name, value in read_tensors(folder / file)[0].items()}
    others = sorted(path.name for path in folder.glob("*.bin"))
    if others:
        raise UsageError(
            f"{folder} holds {others[0]}, a pickle, which may run code when it is read; save the model as {_WEIGHTS} "
            "(transformers: model.save_pretrained)"
        )
    raise UsageError(f"{folder} holds no {_WEIGHTS}; copy the checkpoint again")


def _part(name: str) -> str:
    """The part of a checkpoint that a weight belongs to, for people to read."""
    parts = [part for part in name.split(".") if part not in ("bert", "roberta", "distilbert", "electra")]
    return parts[0]
