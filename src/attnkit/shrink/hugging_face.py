"""Heads out of an encoder of transformers, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from attnkit.errors import UsageError
from attnkit.model.changes.base import kept
from attnkit.model.changes.slices import blocks, narrow_inputs, narrow_outputs


@dataclass(frozen=True)
class _Names:
    """How a family calls the maps of one attention, from the module that holds all of them, and its number of heads."""

    query: str
    key: str
    value: str
    out: str
    heads: str
    also: str = ""


_FAMILIES = (
    # BERT, RoBERTa, ELECTRA.
    _Names("self.query", "self.key", "self.value", "output.dense", "self.num_attention_heads", "self.all_head_size"),
    # DistilBERT.
    _Names("q_lin", "k_lin", "v_lin", "out_lin", "n_heads"),
)


def remove_heads(model: nn.Module, gone: Mapping[int, Sequence[int]]) -> None:
    """Take heads out of a BERT, RoBERTa, DistilBERT or ELECTRA of transformers 5, in place: `gone` names them by layer.

    The same as if what they mix were zero. Numbers are those of the model as it stands. Its configuration has a single
    number of heads, for all layers, so that `save_pretrained` writes weights which `from_pretrained` refuses: to keep
    what was made, begin a run from the checkpoint (`attn train DATA --from FOLDER --epochs 0`) and shrink that.

    Raises: UsageError where the model is of another kind, or has no such layer or head, or a layer would lose all; then
        nothing is changed.
    Source: Michel, Levy and Neubig 2019, section 4.
    """
    found = _attentions(model)
    left = {}
    for layer, heads in gone.items():
        if not 0 <= layer < len(found):
            raise UsageError(f"there is no layer {layer}: {type(model).__name__} has {len(found)}, from 0")
        attention, names = found[layer]
        holder, _, count = names.heads.rpartition(".")
        total = int(getattr(attention.get_submodule(holder), count))
        if heads and min(heads) < 0:
            raise UsageError(f"heads are numbered from 0; got {min(heads)} for layer {layer}")
        try:
            left[layer] = kept(total, list(heads), "head")
        except ValueError as error:
            raise UsageError(f"layer {layer}: {error}") from None
        if not left[layer]:
            raise UsageError(f"all {total} heads of layer {layer} would go, and transformers computes none; leave one")
    for layer, heads in left.items():
        _narrow(*found[layer], heads)


def heads_of(model: nn.Module) -> list[int]:
    """The number of heads of each layer.

    Raises: UsageError where the model is of another kind.
    """
    return [_value(attention, names.heads) for attention, names in _attentions(model)]


def _attentions(model: nn.Module) -> list[tuple[nn.Module, _Names]]:
    found = []
    for module in model.modules():
        for names in _FAMILIES:
            maps = [_value(module, name) for name in (names.query, names.key, names.value, names.out)]
            if all(isinstance(one, nn.Linear) for one in maps) and _value(module, names.heads):
                found.append((module, names))
    decodes = getattr(getattr(model, "config", None), "is_decoder", False)
    if not found or decodes:
        what = "a decoder" if decodes else f"a {type(model).__name__}"
        raise UsageError(f"heads go out of BERT, RoBERTa, DistilBERT and ELECTRA encoders, and this is {what}")
    return found


def _narrow(attention: nn.Module, names: _Names, heads: list[int]) -> None:
    width = _value(attention, names.query).out_features // _value(attention, names.heads)
    for name in (names.query, names.key, names.value):
        _put(attention, name, narrow_outputs(_value(attention, name), blocks(heads, width)))
    _put(attention, names.out, narrow_inputs(_value(attention, names.out), blocks(heads, width)))
    _put(attention, names.heads, len(heads))
    if names.also:
        _put(attention, names.also, len(heads) * width)


def _value(module: Any, path: str) -> Any:
    for step in path.split("."):
        module = getattr(module, step, None)
    return module


def _put(module: nn.Module, path: str, value: Any) -> None:
    holder, _, name = path.rpartition(".")
    setattr(module.get_submodule(holder), name, value)
