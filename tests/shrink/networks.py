"""Small networks to be changed, with weights at which no mistake is hidden by a zero."""

from typing import Any

import torch
from torch import Tensor, nn

from attnkit.model.build import build_model
from attnkit.model.changes import change_from_plain
from attnkit.model.changes.base import layers_of
from attnkit.model.settings import ModelSettings

VOCABULARY, CLASSES = 30, 3
LENGTHS = (9, 4, 1, 0)


def settings(encoder: str = "transformer", **more: Any) -> ModelSettings:
    """The settings of a network of two layers of four heads, with a plain pooling."""
    values = {
        "encoder": encoder, "width": 16, "embedding_width": 16, "heads": 4, "layers": 2, "inner_width": 24,
        "hierarchical": False, "beside": ["mean"], "words_beside": False, "ngrams": 0, "wide_ngrams": 0,
        "word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0, "norm_epsilon": 1e-5,
    }  # fmt: skip
    return ModelSettings(**{**values, **more})


def network(encoder: str = "transformer", **more: Any) -> nn.Module:
    """Such a network, away from the first values of its parameters."""
    torch.manual_seed(0)
    made = build_model(settings(encoder, **more), VOCABULARY, CLASSES)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made.eval()


def logits(model: nn.Module) -> Tensor:
    """What it says of a padded batch, one row of padding alone included."""
    generator = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(3, VOCABULARY, (len(LENGTHS), max(LENGTHS)), generator=generator)
    keep_BT = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    with torch.no_grad():
        return model(ids_BT * keep_BT, keep_BT)


def changed(model: nn.Module, kind: str, **fields: Any) -> nn.Module:
    """The same network after a change, given as plain data."""
    change_from_plain({"kind": kind, **fields}).apply(model)
    return model


def mask_heads(model: nn.Module, layer: int, heads: tuple[int, ...]) -> nn.Module:
    """What these heads mix, as zero: no column of the last projection reads it."""
    attention: Any = layers_of(model)[layer].get_submodule("attention")
    with torch.no_grad():
        for head in heads:
            attention.out.weight[:, head * attention.layout.E : (head + 1) * attention.layout.E] = 0
    return model
