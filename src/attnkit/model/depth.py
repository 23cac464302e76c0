"""How deep in a network a parameter lies: what gradual unfreezing and rates that fall from layer to layer go by."""

import re

from torch import nn

_OF_ENCODER = re.compile(r"(?:encoder|words)\.(?:layers|onward|backward_)\.(\d+)\.")
_EMBEDDING = re.compile(r"(?:embedding|ngrams|places|(?:encoder|words)\.(?:project|input_norm))\.")


def encoder_layers(model: nn.Module) -> int:
    """L, the layers of the encoder of `model`; 0 where it has none."""
    found = (_OF_ENCODER.match(name) for name, _ in model.named_parameters())
    return max((int(match[1]) + 1 for match in found if match), default=0)


def depth_of(model: nn.Module, name: str) -> int:
    """How many layers lie below the parameter `name`: 0 for embeddings, 1 to L in the encoder, then what reads it.

    L + 1 is the head with the pooling before it; in a hierarchical network the pooling of words is L + 1, and what
    reads sentences, with the head, L + 2. A last norm counts with the layer before it.
    """
    layers = encoder_layers(model)
    match = _OF_ENCODER.match(name)
    if match:
        return int(match[1]) + 1
    if name.startswith(("encoder.norm.", "words.norm.")):
        return layers
    if _EMBEDDING.match(name):
        return 0
    hierarchical = hasattr(model, "word_summary")
    return layers + (2 if hierarchical and not name.startswith("word_summary.") else 1)


def depths(model: nn.Module) -> dict[str, int]:
    """The depth of every parameter by its name."""
    return {name: depth_of(model, name) for name, _ in model.named_parameters()}
