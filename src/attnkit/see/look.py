"""Look: a model's attention on some texts, with roles, tokens and answers, as one capture."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from attnkit.capture.captured import Capture, CapturedLayer, Level
from attnkit.capture.file import load
from attnkit.capture.record import capture
from attnkit.capture.roles import name_roles, roles_of_layer
from attnkit.errors import FailedError, UsageError
from attnkit.see.looker import Inputs, Looker
from attnkit.see.opening import open_looker
from attnkit.see.texts import chosen_texts
from attnkit.train.predictor import Text

# Beyond so many numbers in queries, keys and values of all layers a look keeps none of them to find roles.
MOST_KEPT = 1 << 28
# Rows of a data file that are looked at side by side.
ROWS = 4


def seen_of(
    source: str | os.PathLike[str],
    texts: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    *,
    rows: int | None = None,
    level: Level | None = None,
    generate: int = 0,
    allow_code: bool = False,
    open_: Callable[..., Looker] = open_looker,
) -> Capture:
    """What the model at `source` attends to in the texts given, or in the first `rows` (4) of `data`; or an .attn file.

    Raises: UsageError where there is no model or no text, or they do not fit; FailedError where nothing was captured.
    """
    if Path(source).suffix == ".attn":
        if texts or data is not None or generate:
            raise UsageError(f"{source} holds what was seen already; leave --text, --data and --generate out")
        return loaded(source)
    looker = open_(source, generate=generate, allow_code=allow_code)
    chosen = chosen_texts(texts, data, ROWS if rows is None else rows, looker.predictor)
    found = look(looker, chosen.texts, level=level or "maps")
    for number, label in enumerate(chosen.labels):
        if label is not None and number < len(found.notes):
            found.notes[number] += f", labeled {label} in the file"
    return found


def loaded(path: str | os.PathLike[str]) -> Capture:
    """The capture in an .attn file.

    Raises: UsageError where it is missing or damaged.
    """
    try:
        return load(path)
    except (ValueError, OSError) as error:
        raise UsageError(" ".join(str(error).split())) from None


def look(looker: Looker, texts: Sequence[Text], *, level: Level = "maps", roles: bool = True) -> Capture:
    """One capture of the texts side by side, with what the model answered among the notes.

    To find roles that need the map, queries and keys are kept while the model runs, where they are not too many.

    Raises: FailedError where nothing was captured, with the reason.
    """
    inputs = looker.encode(texts)
    recorded: Level = "full" if roles and _keeps(looker, inputs) else level
    try:
        with torch.no_grad(), capture(looker.model, recorded) as seen:
            answers = inputs.run()
    except (ValueError, RuntimeError, LookupError) as error:
        raise FailedError(f"{looker.title}: {' '.join(str(error).split())}") from error
    # A file name may hold bytes that are no letters.
    seen.title = looker.title.encode("utf-8", "replace").decode("utf-8")
    placed = [_on_streams(layer, inputs) for layer in seen.layers]
    seen.streams = _filled_up(inputs.streams, placed)
    seen.layers = [_kept(layer, seen, roles, level) for layer in placed]
    seen.notes = [
        *(f"text {number + 1}: {answer}" for number, answer in enumerate(answers)),
        *(
            f"text {number + 1}: {more:,} tokens beyond the length limit were not read"
            for number, more in enumerate(inputs.cut)
            if more
        ),
        *seen.notes,
    ]
    return seen


def _keeps(looker: Looker, inputs: Inputs) -> bool:
    """True where queries, keys and values of every layer are few, taken to be as wide as its widest weights."""
    tokens = sum(len(one) for items in inputs.streams.values() for one in items)
    kept = sum(
        3 * max((p.shape[0] for p in module.parameters() if p.dim() == 2), default=0)
        for module in looker.model.modules()
        if "ttention" in type(module).__name__
    )
    return tokens * kept <= MOST_KEPT


def _on_streams(layer: CapturedLayer, inputs: Inputs) -> CapturedLayer:
    """The layer with the texts that stand on its two sides."""
    for beginning, (queries, keys) in inputs.sides.items():
        if layer.name.startswith(beginning):
            return replace(layer, query_stream=queries, key_stream=keys)
    return layer


def _filled_up(streams: dict[str, list[list[str]]], layers: Sequence[CapturedLayer]) -> dict[str, list[list[str]]]:
    """The tokens of each item with empty ones where it is padding."""
    widths = {layer.query_stream: layer.T for layer in layers} | {layer.key_stream: layer.S for layer in layers}
    return {
        name: [[*item, *[""] * (widths.get(name, 0) - len(item))] for item in items] for name, items in streams.items()
    }


def _kept(layer: CapturedLayer, seen: Capture, roles: bool, level: Level) -> CapturedLayer:
    """The layer with its roles, and without what was kept for them alone."""
    if roles and layer.kind == "self":
        words = seen.streams.get(layer.key_stream or "", [])
        fits = len(words) == layer.batch and all(len(item) == layer.S for item in words)
        layer = replace(layer, roles=name_roles([roles_of_layer(layer, words if fits else None)]))
    if level == "full":
        return layer
    layer = replace(layer, seen=None)
    return replace(layer, pooled=None, edges=None) if level == "stats" else layer
