"""Remove heads: an attention layer without some of its heads, narrower and no less."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.attention.heads import HeadLayout
from attnkit.layers import AttentionLayer
from attnkit.layers.no_attention import NoAttention
from attnkit.model.changes.base import Change, check_numbers, kept, layer_of
from attnkit.model.changes.independent import check_independent
from attnkit.model.changes.slices import blocks, narrow_inputs, narrow_outputs, tree_of_heads


@dataclass(frozen=True)
class RemoveHeads(Change):
    """Take `heads` out of the attention of layer `layer`: the same as if what they mix were zero.

    The projections lose the rows and columns of these heads, and what the operator learns a head loses its entries.
    Without a head left the layer adds the bias of its last projection alone.

    Raises: ValueError where there is no such layer or head, or its heads are tied to one another.
    Source: Michel, Levy and Neubig 2019, section 4; Voita et al. 2019, section 5.
    """

    kind: ClassVar[str] = "remove_heads"

    layer: int
    heads: tuple[int, ...]

    def __post_init__(self) -> None:
        check_numbers(self.heads, self, "heads")

    def apply(self, network: nn.Module) -> None:
        """Narrow the attention of that layer."""
        layer = layer_of(network, self.layer)
        attention = layer.get_submodule("attention")
        if not isinstance(attention, AttentionLayer):
            raise ValueError(f"layer {self.layer} has no head left")
        heads = kept(attention.layout.heads, self.heads, "head")
        without_heads(attention, heads)
        if not heads:
            layer.add_module("attention", NoAttention(attention.spec, attention.out.bias))


def without_heads(attention: AttentionLayer, heads: list[int]) -> None:
    """Narrow `attention` to `heads`, in place; with none it is left as it is, for its bias.

    Raises: ValueError where its heads are tied to one another, by the operator or by keys that they share.
    """
    layout, spec = attention.layout, attention.spec
    groups = _groups(layout, heads)
    try:
        check_independent(spec, attention.operator.dims, heads)
    except ValueError as error:
        raise ValueError(f"the heads of {type(spec).__name__} cannot go one by one: {error}") from None
    if not heads:
        return
    D, E = layout.width, layout.E
    attention.query = narrow_outputs(attention.query, blocks(heads, D))
    attention.key = narrow_outputs(attention.key, blocks(groups, D))
    attention.value = narrow_outputs(attention.value, blocks(groups, E))
    attention.out = narrow_inputs(attention.out, blocks(heads, E))
    if attention.gate is not None:
        attention.gate.open = narrow_outputs(attention.gate.open, blocks(heads, E))
    attention.operator = tree_of_heads(attention.operator, spec, heads)
    shared = None if layout.key_heads is None else len(groups)
    attention.layout = HeadLayout(len(heads), D, shared, layout.value_width)


def _groups(layout: HeadLayout, heads: list[int]) -> list[int]:
    """The key heads that `heads` read."""
    each = layout.heads // layout.G
    read = Counter(head // each for head in heads)
    if len(set(read.values())) > 1:
        raise ValueError(
            f"its {layout.heads} query heads share {layout.G} key heads, {each} each; take out whole groups, or as "
            "many heads of each"
        )
    return sorted(read)
