"""What a capture must be to be written or believed: shapes that agree, indices in range, sums that are numbers."""

import typing
from collections.abc import Iterable
from dataclasses import fields

import torch
from torch import Tensor

from attnkit.attention.where import Where
from attnkit.capture.budget import PER_KEY
from attnkit.capture.captured import Capture, CapturedLayer, Kind
from attnkit.layers.taps import Seen

KINDS = typing.get_args(Kind)
MOST_LAYERS = 10_000
MOST_TOKENS = 2**31
_WHOLE, _MASKS = ("query_position", "key_position", "query_document", "key_document"), ("keep", "query_keep")


def check(capture: Capture) -> None:
    """Hold a capture to its own description.

    Raises: ValueError naming the layer and what does not fit.
    """
    need(len(capture.layers) <= MOST_LAYERS, f"it has {len(capture.layers)} layers, more than {MOST_LAYERS}")
    need(isinstance(capture.title, str) and strings(capture.notes), "title and notes must be words")
    for name, items in capture.streams.items():
        need(isinstance(name, str) and isinstance(items, list), "a stream of tokens must be a list an item")
        need(all(strings(tokens) for tokens in items), f"stream {name!r} holds tokens that are no words")
    for name, grid in capture.images.items():
        whole = len(grid) == 2 and all(type(n) is int and 0 < n < MOST_TOKENS for n in grid)
        need(isinstance(name, str) and whole, f"the grid of {name!r} must be two whole numbers from 1")
    for layer in capture.layers:
        try:
            _check_layer(layer)
        except ValueError as error:
            raise ValueError(f"layer {str(layer.name)[:80]!r}: {error}") from None


def need(holds: bool, sentence: str) -> None:
    """Refuse.

    Raises: ValueError with the sentence where it does not hold.
    """
    if not holds:
        raise ValueError(sentence)


def strings(values: object) -> bool:
    """True for a list of words."""
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


def _check_layer(layer: CapturedLayer) -> None:
    words = (layer.name, layer.operator, *layer.undefined, *layer.undefined.values())
    need(all(isinstance(one, str) for one in words), "its names and reasons must be words")
    need(layer.kind in KINDS, f"its kind must be one of {', '.join(KINDS)}")
    for name in ("batch", "heads", "T", "S"):
        size = getattr(layer, name)
        need(type(size) is int and 0 <= size < MOST_TOKENS, f"{name} must be a whole number from 0")
    for stream in (layer.query_stream, layer.key_stream):
        need(stream is None or isinstance(stream, str), "its streams must be named by words")
    need(type(layer.check.rows) is int and layer.check.rows >= 0, "its check must count rows from 0")
    B, H, T, S = layer.batch, layer.heads, layer.T, layer.S
    for mask, length in ((layer.query_keep, T), (layer.key_keep, S)):
        if mask is not None:
            _shape(mask, [(B, length)], "a mask of real tokens")
            need(mask.dtype == torch.bool, "a mask of real tokens must be true or false")
    counted = T
    if layer.rows is not None:
        need(layer.rows.dim() == 1, "sampled rows must be a list of queries")
        _within(layer.rows, 0, T, "a sampled row")
        counted = len(layer.rows)
    for name, values in layer.statistics.items():
        need(isinstance(name, str) and values.is_floating_point(), "a statistic must have a name and numbers")
        _shape(values, [(B, H, S if name in PER_KEY else counted)], f"statistic {name!r}")
    _check_maps(layer, counted)
    if layer.roles is not None:
        listed = isinstance(layer.roles, list) and all(isinstance(heads, list) for heads in layer.roles)
        need(listed, "its roles must be a list a head of tables")
        need(all(isinstance(role, dict) for heads in layer.roles for role in heads), "a role must be a table")
    if layer.seen is not None:
        _check_seen(layer.seen, layer)


def _check_maps(layer: CapturedLayer, counted: int) -> None:
    B, H, T, S = layer.batch, layer.heads, layer.T, layer.S
    if layer.pooled is not None:
        sides = []
        for length, tokens in ((T, layer.pooled.query_tokens), (S, layer.pooled.key_tokens)):
            need(type(tokens) is int and 0 < tokens < MOST_TOKENS, "a block of the pooled map must hold tokens")
            sides.append(-(-length // tokens))
        _shape(layer.pooled.mass_BHRC, [(B, H, *sides)], "the pooled map")
        need(layer.pooled.mass_BHRC.is_floating_point(), "the pooled map must hold numbers")
    if layer.edges is not None:
        weight, key = layer.edges.weight_BHTN, layer.edges.key_BHTN
        need(weight.dim() == 4 and weight.is_floating_point(), "the weights of edges must be (B, H, T, N)")
        N = weight.shape[-1]
        _shape(weight, [(B, H, T, N), (B, H, counted, N)], "the weights of edges")
        _shape(key, [tuple(weight.shape)], "the keys of edges")
        _within(key, -1, S, "the key of an edge")


def _check_seen(seen: Seen, layer: CapturedLayer) -> None:
    need(isinstance(seen.name, str), "its inputs must have a name")
    for name in ("q_BHTD", "k_BGSD", "v_BGSE", "out_BHTE"):
        values = getattr(seen, name)
        need(values.dim() == 4 and values.is_floating_point(), f"{name} must be four-dimensional numbers")
    B, H, T, _ = seen.q_BHTD.shape
    _, G, S, _ = seen.k_BGSD.shape
    E = seen.v_BGSE.shape[-1]
    need((T, S) == (layer.T, layer.S), f"its inputs have {T} queries and {S} keys, not {layer.T} and {layer.S}")
    need(G > 0 and H % G == 0, f"{H} heads cannot share {G} of keys")
    need(layer.batch == B, f"its inputs are {B} items, not {layer.batch}")
    _shape(seen.k_BGSD, [(B, G, S, seen.k_BGSD.shape[-1])], "k_BGSD")
    _shape(seen.v_BGSE, [(B, G, S, E)], "v_BGSE")
    _shape(seen.out_BHTE, [(B, H, T, E)], "out_BHTE")
    _check_where(seen.where, B, T, S)


def _check_where(where: Where, B: int, T: int, S: int) -> None:
    need(isinstance(where.aligned, bool), "aligned must be true or false")
    for field in fields(where):
        values = getattr(where, field.name)
        if not isinstance(values, Tensor):
            continue
        if field.name in _WHOLE or field.name in _MASKS:
            length = T if field.name.startswith("query") else S
            alone = [(length,)] if field.name in _WHOLE else []
            _shape(values, [*alone, (B, length), (1, length)], field.name)
        else:
            _shape(values, [(B,), (1,)], field.name)
            _within(values, 0, MOST_TOKENS, field.name)
        wanted = torch.bool if field.name in _MASKS else torch.int64
        need(values.dtype == wanted, f"{field.name} must be {str(wanted).removeprefix('torch.')}")
    if where.lengths is not None:
        _within(where.lengths, 0, S + 1, "a length")


def _shape(values: Tensor, allowed: Iterable[tuple[int, ...]], what: str) -> None:
    shapes = list(allowed)
    if tuple(values.shape) not in shapes:
        wanted = " or ".join(dict.fromkeys(map(str, shapes)))
        raise ValueError(f"{what} has the shape {tuple(values.shape)}, not {wanted}")


def _within(values: Tensor, low: int, stop: int, what: str) -> None:
    need(not values.is_floating_point() and values.dtype != torch.bool, f"{what} must be a whole number")
    if values.numel() and (int(values.min()) < low or int(values.max()) >= stop):
        raise ValueError(f"{what} must be from {low} to {stop - 1}; got {int(values.min())} to {int(values.max())}")
