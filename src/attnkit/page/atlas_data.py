"""A capture as the bytes of a page: what must be there exactly, then as much of the rest as a budget allows."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.capture.budget import PER_KEY, joined
from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.page.atlas_edges import LayerEdges, keep_edges
from attnkit.page.atlas_rows import exact_rows
from attnkit.page.quantize import Packed, deflate, pack

MAGIC = b"ATTN"
_POOLED_SHARE, _STATISTICS_SHARE = 0.45, 0.35
# (tokens a figure, bits) of statistics per token, the finest first
_STATISTIC_FORMS = ((1, 32), (1, 16), (1, 8), (4, 8), (16, 8), (64, 8), (256, 8))
# (blocks put together on each side, bits) of pooled maps
_POOLED_FORMS = ((1, 32), (1, 16), (1, 8), (2, 8), (4, 8), (8, 8))
_NO_ROOM = 1 << 62


class Blob:
    """A page's binary: a header in JSON that says where each chunk lies, then the chunks, each deflated by itself."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.size = 0

    def add(self, packed: Packed) -> dict[str, Any]:
        """What a header says of a chunk, which from now on is part of the binary."""
        self._chunks.append(packed.data)
        self.size += len(packed.data)
        return {**packed.meta, "chunk": len(self._chunks) - 1}

    def bytes(self, header: dict[str, Any]) -> bytes:
        """`ATTN`, the length of the header as four bytes, the header deflated, the chunks."""
        packed = deflate(json.dumps({**header, "sizes": [len(one) for one in self._chunks]}).encode(), 9)
        return b"".join([MAGIC, len(packed).to_bytes(4, "little"), packed, *self._chunks])


def capture_data(capture: Capture, blob: Blob, room: int, focus: tuple[str, int] | None = None) -> dict[str, Any]:
    """What the header says of a capture, whose arrays go into `blob` in at most about `room` bytes.

    Names, tokens, checks, roles, explanations and the figures per head are always there and exact. `focus` (a layer's
    name and a head) is served first where rows can be made again from queries and keys.
    """
    start, said = blob.size, list[str]()
    layers = [_facts(layer, blob) for layer in capture.layers]
    texts = {name: [list(map(str, item)) for item in items] for name, items in capture.streams.items()}
    header: dict[str, Any] = {
        "title": capture.title,
        "notes": [str(note) for note in capture.notes],
        "images": {name: list(grid) for name, grid in capture.images.items()},
        "layers": layers,
        "summary": blob.add(pack(np.concatenate([_summary(layer).ravel() for layer in capture.layers]), 32)),
        "streams": blob.add(
            Packed(deflate(json.dumps(texts, ensure_ascii=False).encode(errors="backslashreplace"), 9))
        ),
        "explanations": [_explanation(one, blob) for one in capture.explanations],
        "dropped": said,
    }
    room -= blob.size - start + len(deflate(json.dumps(layers).encode()))
    room -= _add_pooled(capture.layers, layers, blob, int(room * _POOLED_SHARE), said)
    room -= _add_statistics(capture.layers, layers, blob, int(room * _STATISTICS_SHARE), said)
    if focus is not None:
        room -= exact_rows(capture.layers, layers, blob.add, room // 2, said, [focus])
    kept = keep_edges([_edges(layer) for layer in capture.layers], max(0, room))
    for facts, packed in zip(layers, kept.layers, strict=True):
        facts["edges"] = blob.add(packed) if packed else None
    said += [kept.said] if kept.said else []
    exact_rows(capture.layers, layers, blob.add, room - kept.size, said, None)
    return header


def _facts(layer: CapturedLayer, blob: Blob) -> dict[str, Any]:
    check = layer.check
    error = None if check.error is None or not np.isfinite(check.error) else float(f"{check.error:.3g}")
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
        "undefined": {str(name): str(why) for name, why in layer.undefined.items()},
        "check": {"error": error, "finite": check.error is None or error is not None, "rows": check.rows,
                  "reason": check.reason},
        "roles": [_best_roles(head) for head in layer.roles] if layer.roles else None,
        "names": list(layer.statistics),
        "query_keep": _keep(layer.query_keep, blob),
        "key_keep": _keep(layer.key_keep, blob),
        "rows": None if layer.rows is None else blob.add(pack(_array(layer.rows), 32)),
        "pooled": None,
        "sink": None,
        "statistics": None,
        "exact": {},
    }  # fmt: skip


def _best_roles(head: Sequence[dict[str, object]]) -> list[Any]:
    """The roles that a head is named after, with two examples each, or the one it is nearest to."""
    decided = [role for role in head if role.get("score") is not None]
    named = [role for role in decided if role.get("named", True)]
    return [
        {**_plain({key: value for key, value in role.items() if value is not None}),
         "examples": _plain(role.get("examples", ()))[:2]}
        for role in (named[:3] or decided[:1])
    ]  # fmt: skip


def _summary(layer: CapturedLayer) -> NDArray[Any]:
    """(statistics, 3, B, H): the mean, lowest and highest over real queries, or over real keys."""
    found = np.zeros((len(layer.statistics), 3, layer.batch, layer.heads))
    for n, (name, values) in enumerate(layer.statistics.items()):
        array, real = _array(values).astype(np.float64), _real(layer, name)
        for item in range(layer.batch):
            those = array[item][:, real[item]]
            if those.shape[-1]:
                found[n, :, item] = those.mean(-1), those.min(-1), those.max(-1)
    return found


def _real(layer: CapturedLayer, name: str) -> NDArray[Any]:
    """(B, length), true where a figure of the statistic is about a real token."""
    length = layer.statistics[name].shape[-1]
    keep = layer.key_keep if name in PER_KEY else layer.query_keep
    if keep is None:
        return np.ones((layer.batch, length), dtype=bool)
    sampled = layer.rows is not None and name not in PER_KEY
    return _array(keep[:, layer.rows] if sampled else keep).astype(bool)


def _keep(keep: Any, blob: Blob) -> dict[str, Any] | None:
    if keep is None or bool(keep.all()):
        return None
    return blob.add(pack(_array(keep).astype(np.float32), 8))


def _edges(layer: CapturedLayer) -> LayerEdges | None:
    if layer.edges is None:
        return None
    return LayerEdges.of(_array(layer.edges.weight_BHTN), _array(layer.edges.key_BHTN))


def _first_that_fits(
    forms: Sequence[tuple[int, int]], numbers: int, room: int, attempt: Callable[[int, int], Iterator[Packed]]
) -> tuple[tuple[int, int], list[Packed]] | None:
    """The finest form (blocks, bits) whose chunks fit, with the chunks; None where none fits.

    `numbers` is how many there are at the finest; what is twelve times too large raw is not tried.
    """
    for blocks, bits in forms:
        if numbers / blocks * bits / 8 > 12 * room:
            continue
        made, size = list[Packed](), 0
        for one in attempt(blocks, bits):
            made.append(one)
            size += len(one.data)
            if size > room:
                break
        if size <= room:
            return (blocks, bits), made
    return None


def _add_pooled(
    layers: Sequence[CapturedLayer], facts: list[dict[str, Any]], blob: Blob, room: int, said: list[str]
) -> int:
    there = {n: layer.pooled for n, layer in enumerate(layers) if layer.pooled is not None}

    def attempt(blocks: int, bits: int) -> Iterator[Packed]:
        for n, pooled in there.items():
            made = joined(layers[n], pooled, blocks, blocks) if blocks > 1 and pooled.mass_BHRC.numel() else pooled
            small = _array(made.mass_BHRC)
            signed = bool(small.size) and bool(small.min() < 0)
            one = pack(small, bits, log=not signed and bits < 32)
            one.meta.update(query_tokens=pooled.query_tokens * blocks, key_tokens=pooled.key_tokens * blocks)
            yield one

    found = _first_that_fits(_POOLED_FORMS, sum(pooled.mass_BHRC.numel() for pooled in there.values()), room, attempt)
    if found is None or not there:
        said += ["The overviews of the maps did not fit into this page."] if there else []
        return 0
    (blocks, _), packed = found
    used = blob.size
    for n, one in zip(there, packed, strict=True):
        facts[n]["pooled"] = blob.add(one)
        facts[n]["sink"] = _first_key(layers[n], one.meta, blob)
    if blocks > 1:
        said.append(f"{blocks} x {blocks} blocks of the captured overviews are drawn as one.")
    return blob.size - used


def _first_key(layer: CapturedLayer, pooled: dict[str, Any], blob: Blob) -> dict[str, Any] | None:
    """The weight on the first real key, as a mean over each block's queries, so that it can be taken out of a block."""
    sink = layer.statistics.get("sink")
    if sink is None or sink.shape[-1] != layer.T or pooled["key_tokens"] == 1:
        return None
    return blob.add(pack(_means(layer, "sink", pooled["query_tokens"]), 8, log=False, groups=1))


def _add_statistics(
    layers: Sequence[CapturedLayer], facts: list[dict[str, Any]], blob: Blob, room: int, said: list[str]
) -> int:
    where = [(n, name) for n, layer in enumerate(layers) for name in layer.statistics]

    def attempt(tokens: int, bits: int) -> Iterator[Packed]:
        for n, name in where:
            array = _means(layers[n], name, tokens)
            yield pack(array, bits, groups=max(1, array.shape[0] * array.shape[1]))

    found = _first_that_fits(
        _STATISTIC_FORMS, sum(layers[n].statistics[name].numel() for n, name in where), room, attempt
    )
    if found is None or not where:
        lost = "Statistics per token did not fit into this page; those per head are all there, and exact."
        said += [lost] if where else []
        return 0
    (tokens, _), packed = found
    used = blob.size
    for n, layer in enumerate(layers):
        facts[n]["statistics"] = {"tokens": tokens, "of": {}} if layer.statistics else None
    for (n, name), one in zip(where, packed, strict=True):
        facts[n]["statistics"]["of"][name] = blob.add(one)
    if tokens > 1:
        said.append(f"Statistics per token are means over {tokens} tokens; those per head are exact.")
    return blob.size - used


def _means(layer: CapturedLayer, name: str, tokens: int) -> NDArray[Any]:
    """Means of a statistic over the real ones of each `tokens` in a row; the last block may hold fewer."""
    array_BHL = _array(layer.statistics[name])
    if tokens == 1 or array_BHL.shape[-1] == 0:
        return array_BHL
    starts = np.arange(0, array_BHL.shape[-1], tokens)
    real_B1L = _real(layer, name)[:, None].astype(np.float64)
    count = np.add.reduceat(real_B1L, starts, axis=-1)
    return np.asarray(np.add.reduceat(array_BHL * real_B1L, starts, axis=-1) / np.maximum(count, 1.0))


def _explanation(told: dict[str, object], blob: Blob) -> dict[str, Any]:
    scores = np.asarray(told.get("scores", []), dtype=np.float64)
    rest = {str(key): _plain(value) for key, value in told.items() if key != "scores"}
    return {**rest, "scores": blob.add(pack(scores, 32))}


def _plain(value: Any) -> Any:
    """Of a value from elsewhere, what JSON holds; floats with six digits."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else str(value)
    return str(value)


def _array(tensor: Any) -> NDArray[Any]:
    """Any tensor, half precision too, as an array on the host."""
    plain = tensor.detach().cpu()
    return np.asarray(plain.float().numpy() if plain.is_floating_point() else plain.numpy())
