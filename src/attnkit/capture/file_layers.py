"""Layers of a capture as plain tables that point at arrays, and back."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.plain import from_plain, to_plain
from attnkit.attention.where import Where
from attnkit.capture.budget import (
    Detail,
    coarser,
    every_of,
    fewer_edges,
    stays,
    thinned_rows,
    thinned_statistic,
)
from attnkit.capture.captured import CapturedLayer, Check, Edges, Pooled
from attnkit.capture.file_check import need
from attnkit.capture.file_codes import How
from attnkit.capture.file_values import number, packed, unpacked
from attnkit.layers.taps import Seen

# keep(key, how, make, ...) -> number of the array; the key says when an array made before may serve again.
Keep = Callable[..., int]
Fetch = Callable[[Any], Tensor]
# Modules whose parts a file may name beside those of the catalogue: importing them runs nobody else's code.
_OWN = ("attnkit.layers.", "attnkit.capture.")
INPUTS = ("q_BHTD", "k_BGSD", "v_BGSE", "out_BHTE")


def layer_to_plain(layer: CapturedLayer, index: int, detail: Detail, keep: Keep) -> dict[str, Any]:
    """The layer with as much as `detail` says; every tensor of it goes to `keep`."""
    every, how = every_of(layer, detail.every), "levels" if detail.levels else "short"

    def kept(name: str, x: Tensor | None, how: How = "exact", *also: Any) -> int | None:
        return None if x is None else keep((index, name, *also), how, lambda: x)

    def statistic(name: str) -> int:
        key = (index, "statistic", name, every)
        return keep(key, how, lambda: thinned_statistic(layer, name, every), torch.float32)

    return {
        "name": layer.name,
        "kind": layer.kind,
        "operator": layer.operator,
        "batch": layer.batch,
        "heads": layer.heads,
        "T": layer.T,
        "S": layer.S,
        "query_stream": layer.query_stream,
        "key_stream": layer.key_stream,
        "check": packed(vars(layer.check), _no_tensor, "a check"),
        "undefined": dict(layer.undefined),
        "roles": packed(layer.roles, lambda x: keep(None, "exact", lambda: x), "a role"),
        "statistics": {name: statistic(name) for name in layer.statistics if stays(name, detail)},
        "query_keep": kept("query_keep", layer.query_keep),
        "key_keep": kept("key_keep", layer.key_keep),
        "rows": kept("rows", thinned_rows(layer, detail.every), "exact", every),
        "pooled": _pooled_to_plain(layer, index, detail, keep),
        "edges": _edges_to_plain(layer, index, detail, keep),
        "seen": None if layer.seen is None or detail.inputs == "none" else _seen_to_plain(layer.seen, kept, detail),
    }


def _no_tensor(x: Tensor) -> int:
    raise ValueError(f"a tensor of shape {tuple(x.shape)} stands where a check or a setting of an operator belongs")


def _pooled_to_plain(layer: CapturedLayer, index: int, detail: Detail, keep: Keep) -> dict[str, Any] | None:
    if layer.pooled is None or detail.blocks == 0:
        return None
    pooled = coarser(layer, layer.pooled, detail.blocks)
    key = (index, "pooled", tuple(pooled.mass_BHRC.shape))
    mass = keep(key, "levels" if detail.levels else "short", lambda: pooled.mass_BHRC, torch.float32)
    return {"mass": mass, "query_tokens": pooled.query_tokens, "key_tokens": pooled.key_tokens}


def _edges_to_plain(layer: CapturedLayer, index: int, detail: Detail, keep: Keep) -> dict[str, Any] | None:
    if layer.edges is None or detail.edges == 0:
        return None
    edges = fewer_edges(layer.edges, detail.edges)
    there = edges.key_BHTN >= 0
    # What is near is a small number; where there is no key the weight says so.
    offset = (edges.key_BHTN - _queries(layer, edges)).masked_fill(~there, 0)
    weight = edges.weight_BHTN.masked_fill(~there, 0.0)
    key = (index, "edges", edges.key_BHTN.shape[-1])
    return {
        "weight": keep((*key, "weight"), "short", lambda: weight, torch.float32),
        "offset": keep((*key, "offset"), "exact", lambda: offset, torch.int64),
    }


def _queries(layer: CapturedLayer, edges: Edges) -> Tensor:
    """The query of each row of the edges, as (rows, 1)."""
    rows = edges.key_BHTN.shape[2]
    sampled = layer.rows is not None and rows != layer.T
    return (layer.rows if sampled and layer.rows is not None else torch.arange(rows)).cpu()[:, None]


def _seen_to_plain(seen: Seen, kept: Callable[..., int | None], detail: Detail) -> dict[str, Any]:
    how: How = "exact" if detail.inputs == "whole" else "short"
    given = {field.name: getattr(seen.where, field.name) for field in fields(Where)}
    return {
        "name": seen.name,
        "spec": packed(to_plain(seen.spec), _no_tensor, "an operator"),
        "inputs": {name: kept(name, getattr(seen, name), how, how) for name in INPUTS},
        "state": kept("state", seen.state, how, how),
        "params": {name: kept(f"params.{name}", value, how, how) for name, value in seen.params.items()},
        "where": {
            name: value if isinstance(value, bool) else kept(f"where.{name}", value) for name, value in given.items()
        },
    }


def layer_from_plain(plain: Any, fetch: Fetch) -> tuple[CapturedLayer, list[str]]:
    """The layer, and sentences on what of it could not be had.

    Raises: ValueError where a field is missing, unknown or of another kind.
    """
    names = {field.name for field in fields(CapturedLayer)}
    table(plain, names, "a layer")
    for name in ("statistics", "undefined"):
        need(isinstance(plain[name], dict), f"{name} of a layer must be a table")

    def optional(name: str) -> Tensor | None:
        return None if plain[name] is None else fetch(plain[name])

    check = table(plain["check"], {"error", "rows", "reason"}, "a check")
    need(check["reason"] is None or isinstance(check["reason"], str), "the reason of a check must be words")
    for name in ("batch", "heads", "T", "S"):
        need(type(plain[name]) is int and plain[name] >= 0, f"{name} of a layer must be a whole number from 0")
    seen, notes = (None, []) if plain["seen"] is None else _seen_from_plain(plain["seen"], fetch)
    given = {name: plain[name] for name in names - {"statistics", "check", "seen", "pooled", "edges", "roles"}}
    rows = optional("rows")
    layer = CapturedLayer(
        **given
        | {
            "undefined": dict(plain["undefined"]),
            "statistics": {name: fetch(at) for name, at in plain["statistics"].items()},
            "check": Check(None if check["error"] is None else number(check["error"]), check["rows"], check["reason"]),
            "query_keep": optional("query_keep"),
            "key_keep": optional("key_keep"),
            "rows": rows,
            "pooled": None if plain["pooled"] is None else _pooled_from_plain(plain["pooled"], fetch),
            "edges": None if plain["edges"] is None else _edges_from_plain(plain["edges"], fetch, rows, plain["T"]),
            "seen": seen,
            "roles": unpacked(plain["roles"], fetch),
        }
    )
    return layer, notes


def table(plain: Any, names: Iterable[str], what: str) -> dict[str, Any]:
    """`plain` where it is a table of exactly these names.

    Raises: ValueError where it is not.
    """
    wanted = set(names)
    if not isinstance(plain, dict) or plain.keys() != wanted:
        odd = sorted(map(str, wanted ^ plain.keys()))[:3] if isinstance(plain, dict) else [type(plain).__name__]
        raise ValueError(f"{what} does not have the fields it must have ({', '.join(odd)[:80]})")
    return plain


def _pooled_from_plain(plain: Any, fetch: Fetch) -> Pooled:
    held = table(plain, {"mass", "query_tokens", "key_tokens"}, "a pooled map")
    return Pooled(fetch(held["mass"]), held["query_tokens"], held["key_tokens"])


def _edges_from_plain(plain: Any, fetch: Fetch, rows: Tensor | None, T: int) -> Edges:
    held = table(plain, {"weight", "offset"}, "edges")
    weight, offset = fetch(held["weight"]), fetch(held["offset"])
    need(weight.dim() == 4 and weight.shape == offset.shape, "weights and keys of edges must be (B, H, T, N) alike")
    need(offset.dtype == torch.int64 and weight.is_floating_point(), "edges must hold numbers and whole numbers")
    need(bool(weight.isfinite().all()), "the weights of edges must be finite")
    queries = torch.arange(weight.shape[2]) if rows is None or weight.shape[2] == T else rows
    need(queries.dim() == 1 and len(queries) == weight.shape[2], "edges must be of all queries or the sampled ones")
    return Edges(weight, (offset + queries[:, None]).masked_fill_(weight == 0, -1))


def _seen_from_plain(plain: Any, fetch: Fetch) -> tuple[Seen | None, list[str]]:
    held = table(plain, {"name", "spec", "inputs", "state", "params", "where"}, "the inputs of a layer")
    inputs = table(held["inputs"], INPUTS, "the inputs of a layer")
    where = table(held["where"], {field.name for field in fields(Where)}, "positions and masks")
    need(isinstance(held["params"], dict), "the parameters of a layer must be a table")
    foreign = sorted(_foreign(held["spec"]))
    if any(not name.startswith(_OWN) for name in foreign):
        return None, [
            f"its operator {foreign[0][:80]} is not of attnkit and is not imported, so it has no rows to make"
        ]
    try:
        spec = from_plain(held["spec"], allow_code=bool(foreign))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(f"its operator is none that there is ({str(error)[:200]})") from None
    need(isinstance(spec, Attention), "its operator is no attention")
    assert isinstance(spec, Attention)
    given: dict[str, Any] = {
        name: value if value is None or isinstance(value, bool) else fetch(value) for name, value in where.items()
    }
    placed = all(isinstance(given[name], Tensor) for name in ("query_position", "key_position"))
    need(placed, "positions of queries or keys are missing")
    q, k, v, out = (fetch(inputs[name]) for name in INPUTS)
    params = {name: fetch(at) for name, at in held["params"].items()}
    state = None if held["state"] is None else fetch(held["state"])
    return Seen(held["name"], spec, q, k, v, Where(**given), params, state, out), []


def _foreign(plain: Any) -> set[str]:
    """The types of a table of parts that are written `module:Name`."""
    if isinstance(plain, list):
        return {name for one in plain for name in _foreign(one)}
    if not isinstance(plain, dict):
        return set()
    own = {plain["type"]} if isinstance(plain.get("type"), str) and ":" in plain["type"] else set()
    return own | {name for one in plain.values() for name in _foreign(one)}
