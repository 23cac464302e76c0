"""ParameterTree: an operator's parameters in a module, under their dotted names."""

import torch
from torch import Tensor, nn

from attnkit.attention.part import Dims, Part


class ParameterTree(nn.Module):
    """Everything `part` learns, as `nn.Parameter`s: `tree.flat()` is the plain dictionary that parts read."""

    def __init__(self, part: Part, dims: Dims, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.dims = dims
        self.names = tuple(part.parameters(dims))
        for name, spec in part.parameters(dims).items():
            *path, leaf = name.split(".")
            node: nn.Module = self
            for step in path:
                if step not in node._modules:
                    node.add_module(step, nn.Module())
                node = node.get_submodule(step)
            node.register_parameter(leaf, nn.Parameter(spec.init.fill(spec.shape, generator)))

    def flat(self) -> dict[str, Tensor]:
        """The tensors by dotted name, as they are now (also under `torch.func.functional_call`)."""
        return {name: self.get_parameter(name) for name in self.names}
