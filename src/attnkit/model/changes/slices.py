"""Narrower modules: parts of the weights of wider ones, on the same device and of the same type."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnkit.attention.part import Dims, ParamSpec, Part
from attnkit.layers.parameter_tree import ParameterTree


def part_of(parameter: Tensor, axis: int, numbers: Sequence[int]) -> nn.Parameter:
    """The entries `numbers` along `axis` as a parameter that learns where the whole one did."""
    chosen = torch.tensor(list(numbers), dtype=torch.long, device=parameter.device)
    return nn.Parameter(parameter.detach().index_select(axis, chosen), requires_grad=parameter.requires_grad)


def plain_map(module: nn.Module) -> nn.Linear:
    """`module`, where it is a linear map that nothing was done to.

    Raises: ValueError where something else holds its weights.
    """
    if not isinstance(module, nn.Linear):
        raise ValueError(
            f"a {type(module).__name__} holds the weights of a linear map; take out heads and units before weights are "
            "held otherwise"
        )
    return module


def narrow_outputs(module: nn.Module, rows: Sequence[int]) -> nn.Linear:
    """The map that gives the entries `rows` of what `module` gives.

    Raises: ValueError where it is no plain linear map.
    """
    linear = plain_map(module)
    return _linear(part_of(linear.weight, 0, rows), None if linear.bias is None else part_of(linear.bias, 0, rows))


def narrow_inputs(module: nn.Module, columns: Sequence[int]) -> nn.Linear:
    """The map that reads the entries `columns` alone, as if the others were zero.

    Raises: ValueError where `module` is no plain linear map.
    """
    linear = plain_map(module)
    return _linear(part_of(linear.weight, 1, columns), linear.bias)


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    rows, columns = weight.shape
    linear = nn.Linear(columns, rows, bias=bias is not None, device="meta")
    linear.weight = weight
    if bias is not None:
        linear.bias = bias
    return linear


def blocks(numbers: Sequence[int], width: int) -> list[int]:
    """The places of the blocks `numbers` of `width` entries each."""
    return [number * width + place for number in numbers for place in range(width)]


def head_axis(wide: ParamSpec, narrow: ParamSpec) -> int | None:
    """The axis along which a parameter has an entry a head, from its shapes for more and fewer heads; None: no axis.

    Raises: ValueError where several axes hang on the number of heads.
    """
    axes = [axis for axis, (more, fewer) in enumerate(zip(wide.shape, narrow.shape, strict=True)) if more != fewer]
    if len(axes) > 1:
        raise ValueError(f"of the shape {wide.shape} {len(axes)} axes hang on the number of heads")
    return axes[0] if axes else None


def tree_of_heads(tree: ParameterTree, part: Part, heads: Sequence[int]) -> ParameterTree:
    """The parameters of `part` for the `heads` alone.

    Raises: ValueError where a parameter cannot be cut by heads, which says that its heads are tied.
    """
    values = values_of_heads(tree.flat(), part, tree.dims, heads)
    narrow = ParameterTree(part, Dims(len(heads), tree.dims.width, tree.dims.value_width))
    for name, value in values.items():
        path, _, leaf = name.rpartition(".")
        learns = tree.get_parameter(name).requires_grad
        setattr(narrow.get_submodule(path), leaf, nn.Parameter(value, requires_grad=learns))
    return narrow


def values_of_heads(values: dict[str, Tensor], part: Part, dims: Dims, heads: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of `part` for the `heads` alone.

    Raises: ValueError where a parameter cannot be cut by heads, which says that its heads are tied.
    """
    wide = part.parameters(dims)
    narrow = part.parameters(Dims(len(heads), dims.width, dims.value_width))
    found = {}
    for name, spec in wide.items():
        try:
            axis = head_axis(spec, narrow[name])
        except (KeyError, ValueError) as error:
            raise ValueError(f"its heads are tied by the parameter {name} ({error})") from None
        if axis is not None and spec.shape[axis] != dims.heads:
            raise ValueError(f"its heads are tied by the parameter {name}, which has not one entry a head")
        value = values[name].detach()
        chosen = torch.tensor(list(heads), dtype=torch.long, device=value.device)
        found[name] = value.clone() if axis is None else value.index_select(axis, chosen)
    return found
