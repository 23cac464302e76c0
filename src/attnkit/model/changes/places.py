"""Where in a network the linear maps and the tables stand, and how another module takes their place."""

from collections.abc import Iterator

from torch import nn

from attnkit.layers.through import LinearThrough, TableThrough
from attnkit.model.language import LanguageModel


def linear_maps(network: nn.Module) -> Iterator[tuple[str, nn.Linear | LinearThrough]]:
    """Every linear map by its name, those of the wide branch left out, which are numbers a class."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear | LinearThrough) and not name.startswith("wide."):
            yield name, module


def tables(network: nn.Module) -> Iterator[tuple[str, nn.Embedding | TableThrough]]:
    """Every table of vectors by its name, those of the wide branch left out, which are numbers a class."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Embedding | TableThrough) and not name.startswith("wide."):
            yield name, module


def linear_map(network: nn.Module, name: str) -> nn.Linear:
    """The linear map of that name.

    Raises: ValueError where none stands there.
    """
    module = dict(network.named_modules()).get(name)
    if not isinstance(module, nn.Linear):
        found = "nothing" if module is None else f"a {type(module).__name__}"
        raise ValueError(f"it is for linear maps, and at {name!r} stands {found}; `attn info RUN` lists the weights")
    return module


def table(network: nn.Module, name: str) -> nn.Embedding:
    """The table of that name.

    Raises: ValueError where none stands there.
    """
    module = dict(network.named_modules()).get(name)
    if not isinstance(module, nn.Embedding):
        found = "nothing" if module is None else f"a {type(module).__name__}"
        raise ValueError(f"it is for tables of vectors, and at {name!r} stands {found}; the words' is embedding.rows")
    return module


def put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of that name."""
    path, _, leaf = name.rpartition(".")
    network.get_submodule(path).add_module(leaf, module)


def refuse_language(network: nn.Module) -> None:
    """Hold a network to not predicting words with the table by which it reads them.

    Raises: ValueError where it does.
    """
    if isinstance(network, LanguageModel):
        raise ValueError("this network predicts words with its table; train a task from it, and change that run")
