"""Parameter groups: which weights decay, and at what share of the learning rate each layer moves."""

from dataclasses import dataclass, field

from torch import nn

from attnkit.model.depth import depths
from attnkit.run.recipe import Recipe

_TABLES, _HEAD = ("embedding", "ngrams", "places"), ("head", "heads")


@dataclass
class Group:
    """Parameters that move alike: `rate_factor` multiplies the learning rate, `hidden` are matrices between layers."""

    decayed: bool
    rate_factor: float
    hidden: bool = False
    names: list[str] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[Group]:
    """Every parameter of `model` in one group; those that decay stand first.

    Weight decay is on matrices of layers alone: not on biases, norms or embeddings. What lies d layers below the
    classifier and its pooling has the rate factor layer_decay^d; that of the embeddings and of the classifier is
    multiplied by embedding_rate and head_rate. Hidden matrices are told apart for muon alone.

    Source: Howard and Ruder (2018), section 3.2 (a rate for each layer).
    """
    settings = recipe.optimizer
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    depth = depths(model)
    top = max(depth.values(), default=0)
    found: dict[tuple[bool, float, bool], Group] = {}
    for name, parameter in model.named_parameters():
        part = name.partition(".")[0]
        factor = settings.layer_decay ** (top - depth[name])
        if part in _TABLES:
            factor *= settings.embedding_rate
        elif part in _HEAD:
            factor *= settings.head_rate
        decayed = parameter.ndim > 1 and parameter not in tables
        # The authors of muon leave the first and the last matrix to adamw.
        hidden = settings.optimizer == "muon" and decayed and parameter.ndim == 2 and part not in (*_TABLES, *_HEAD)
        group = found.setdefault((decayed, factor, hidden), Group(decayed, factor, hidden))
        group.names.append(name)
        group.parameters.append(parameter)
    return sorted(found.values(), key=lambda group: not group.decayed)
