"""The `.attn` file: a capture in a zip of JSON and small arrays, to load, compare and draw without the model.

`manifest.json` holds names, tokens, notes, roles and explanations, and a table of arrays; `arrays/00000.bin` and so on
hold their bytes, the little end first. There is no pickle and nothing to execute.
"""

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnkit.capture.budget import Detail, details, dropped
from attnkit.capture.captured import Capture
from attnkit.capture.file_archive import FREE_BYTES, MANIFEST, MOST_GROWTH, Archive, bytes_of_zip, member, written
from attnkit.capture.file_check import check, need
from attnkit.capture.file_codes import Coded, How, bytes_decoded, bytes_of, checked_table, coded, decoded
from attnkit.capture.file_layers import INPUTS, layer_from_plain, layer_to_plain, table
from attnkit.capture.file_values import as_json, bytes_of_json, from_json, packed, unpacked
from attnkit.files import write_bytes

FORMAT = "attnkit capture"
VERSION = 1
MOST_BYTES = 4 * 2**30
_OWN = ("title", "notes", "streams", "images", "explanations")


def save(capture: Capture, path: str | os.PathLike[str], budget_bytes: int | None = None) -> Path:
    """Write `capture` to `path` in one step and give the path; the same capture gives the same bytes.

    Without a budget, masks, indices, and queries, keys and values stay to the bit; statistics, pooled maps and weights
    of edges come back as float32 within 1e-3 of themselves (float16 where that holds all of an array, else float32 of
    eleven bits). With `budget_bytes`, or the capture's own, the file takes at most that: detail goes in the order of
    `budget.STEPS` (inputs, floats for 256 levels a head, edges, then by turns queries with statistics, statistics and
    blocks of pooled maps), and a note says what went.

    Raises: ValueError where even the least does not fit, or the capture does not fit its own description; OSError where
        the folder cannot be written.
    Cost: time to compress what is kept, about 30 MB/s; with a budget some five times that.
    """
    try:
        check(capture)
        drafts = _Drafts(capture)
        allowed = capture.budget_bytes if budget_bytes is None else budget_bytes
        detail = Detail() if allowed is None else drafts.fitting(allowed)
        content = written(*drafts.made(detail))
    except ValueError as error:
        raise ValueError(f"the capture cannot be saved as {os.fspath(path)}: {error}") from None
    write_bytes(path, content)
    return Path(path)


def load(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> Capture:
    """The capture in the file at `path`, which may come from anywhere: nothing in it is executed or imported.

    Sizes are checked before anything is unpacked: it may take `most_bytes` in memory, and 200 times its own size and
    32 MiB. Operators that are not of attnkit are not imported; a note says so, and the layer comes without its inputs.

    Raises: ValueError in one sentence where it is no capture, is damaged, or is of a version not known here; OSError
        where there is no file to be read.
    """
    try:
        with Archive(path, most_bytes) as archive:
            return _loaded(archive)
    except RecursionError:
        problem = "it nests too deep"
    except ValueError as error:
        problem = str(error)
    raise ValueError(f"{os.fspath(path)} cannot be read as a capture: {problem}; save it again where it was made")


@dataclass
class _Drafts:
    """Manifest and arrays of a capture at any detail; arrays once made serve again."""

    capture: Capture
    made_before: dict[Any, Coded] = field(default_factory=dict)

    def made(self, detail: Detail) -> tuple[bytes, list[Coded]]:
        capture, arrays = self.capture, list[Coded]()

        def keep(key: Any, how: How, make: Callable[[], Tensor], dtype: torch.dtype | None = None) -> int:
            # Queries, keys and values are noise to a compressor, and most of the bytes.
            squeezed = key is None or key[1] not in INPUTS
            place = (key, how)
            made = self.made_before.get(place) or coded(make(), how, dtype, squeezed)
            if key is not None:
                self.made_before[place] = made
            arrays.append(made)
            return len(arrays) - 1

        def free(x: Tensor) -> int:
            return keep(None, "exact", lambda: x)

        gone = dropped(capture, detail) if detail != Detail() else []
        notes = [f"To fit its budget, the file keeps less: {'; '.join(gone)}."] if gone else []
        plain = {
            "format": FORMAT,
            "version": VERSION,
            "title": capture.title,
            "notes": [*capture.notes, *notes],
            "streams": capture.streams,
            "images": {name: list(grid) for name, grid in capture.images.items()},
            "explanations": packed(capture.explanations, free, "an explanation"),
            "layers": [layer_to_plain(layer, index, detail, keep) for index, layer in enumerate(capture.layers)],
        }
        manifest = as_json({**plain, "arrays": [one.table() for one in arrays]})
        whole = bytes_of_json(manifest) + sum(_bytes_in_memory(one.table(), one) for one in arrays)
        if whole > FREE_BYTES + MOST_GROWTH * bytes_of_zip(manifest, arrays):
            # Zeros all over: compressed they would look like an attack to whoever loads them.
            arrays = [Coded(one.coding, one.shape, one.dtype, one.content, squeezed=False) for one in arrays]
        return manifest, arrays

    def fitting(self, budget_bytes: int) -> Detail:
        """The most detail that takes no more.

        Raises: ValueError where none does.
        """
        ladder = list(details())
        fits = bisect_left(ladder, True, key=lambda one: bytes_of_zip(*self.made(one)) <= budget_bytes)
        if fits == len(ladder):
            least = bytes_of_zip(*self.made(ladder[-1]))
            raise ValueError(f"the least of it takes {least} bytes and the budget is {budget_bytes}: keep fewer layers")
        return ladder[fits]


def _bytes_in_memory(line: dict[str, Any], array: Coded) -> int:
    return len(array.content) + bytes_decoded(tuple(line["shape"]), line["dtype"])


def _loaded(archive: Archive) -> Capture:
    archive.spend(archive.size(MANIFEST) * 2)
    content = archive.read(MANIFEST)
    archive.spend(bytes_of_json(content))
    plain = from_json(content)
    need(isinstance(plain, dict) and plain.get("format") == FORMAT, f"its manifest does not say {FORMAT!r}")
    if plain.get("version") != VERSION:
        raise ValueError(f"it is of version {str(plain.get('version'))[:20]}, and this attnkit reads {VERSION}")
    table(plain, {"format", "version", "layers", "arrays", *_OWN}, "its manifest")
    fetch = _Fetch(archive, plain["arrays"])
    kinds = {"layers": list, "notes": list, "streams": dict, "images": dict, "explanations": list}
    for name, kind in kinds.items():
        need(isinstance(plain[name], kind), f"{name} in its manifest must be a {kind.__name__}")
    need(all(isinstance(grid, list) for grid in plain["images"].values()), "a grid must be two whole numbers")
    need(all(isinstance(one, dict) for one in plain["explanations"]), "an explanation must be a table")
    layers, notes = [], list(plain["notes"])
    for one in plain["layers"]:
        layer, more = layer_from_plain(one, fetch)
        layers.append(layer)
        notes += [f"Layer {layer.name}: {sentence}." for sentence in more]
    capture = Capture(
        layers,
        plain["streams"],
        {name: tuple(grid) for name, grid in plain["images"].items()},
        plain["title"],
        notes,
        unpacked(plain["explanations"], fetch),
    )
    check(capture)
    return capture


class _Fetch:
    """Arrays by their number, each counted before it is read."""

    def __init__(self, archive: Archive, lines: Any) -> None:
        need(isinstance(lines, list) and len(lines) == archive.arrays, "its table of arrays is not that of its members")
        self._archive = archive
        self._lines = [checked_table(line) for line in lines]
        for index, (coding, shape, _) in enumerate(self._lines):
            has, wants = archive.size(member(index)), bytes_of(coding, shape)
            need(has == wants, f"{member(index)} has {has} bytes, and its shape {shape} wants {wants}")

    def __call__(self, index: Any) -> Tensor:
        need(type(index) is int and 0 <= index < len(self._lines), f"there is no array {str(index)[:20]}")
        coding, shape, dtype = self._lines[index]
        # A list of levels is four times as large where it is numbers again, and an array may be named many times.
        self._archive.spend(bytes_of(coding, shape) + bytes_decoded(shape, dtype))
        return decoded(coding, shape, dtype, self._archive.read(member(index)))
