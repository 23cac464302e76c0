"""Which text stands on which side of a layer, and the words of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from attnkit.capture.captured import Capture
from attnkit.capture.listen_modules import Running
from attnkit.capture.recorder import stack_of

Tokens = Sequence[str] | Sequence[Sequence[str]]


def name_streams(capture: Capture) -> None:
    """Say for each layer which texts meet: "text"; "encoder" and "decoder" where one looks at the other.

    A layer of one text is the decoder's where it stands in a stack with layers that look at another.
    """
    decoders = {stack_of(one.name) for one in capture.layers if one.kind == "cross"}
    for place, one in enumerate(capture.layers):
        if one.kind == "pooling":
            query, key = None, "encoder" if decoders else "text"
        elif not decoders:
            query = key = "text"
        elif one.kind == "cross":
            query, key = "decoder", "encoder"
        else:
            query = key = "decoder" if stack_of(one.name) in decoders else "encoder"
        capture.layers[place] = replace(one, query_stream=query, key_stream=key)


def lengths(capture: Capture) -> dict[str, int]:
    """Tokens of each stream, by the layers that it stands on a side of."""
    found: dict[str, int] = {}
    for one in capture.layers:
        for stream, length in ((one.key_stream, one.S), (one.query_stream, one.T)):
            if stream is not None:
                found.setdefault(stream, length)
    return found


def given_streams(capture: Capture, tokens: Any, batch: int) -> dict[str, list[list[str]]]:
    """The words that the caller gave: a list of them, one an item of the batch, or either by stream.

    Raises: ValueError where they are not as many as the layers saw, or name no stream.
    """
    found = lengths(capture)
    by_name = dict(tokens) if isinstance(tokens, dict) else {"text" if "text" in found else "encoder": tokens}
    streams = {}
    for name, given in by_name.items():
        if name not in found:
            raise ValueError(f"tokens are given for {name!r}; the texts of this capture are {', '.join(found)}")
        rows = [list(given)] if given and isinstance(given[0], str) else [list(row) for row in given]
        if len(rows) != batch:
            raise ValueError(f"tokens hold {len(rows)} texts for {name!r}, and the batch has {batch}")
        if any(len(row) > found[name] for row in rows):
            longest = max(map(len, rows))
            raise ValueError(f"tokens hold {longest} words for {name!r}, and the layers saw {found[name]}")
        if max(map(len, rows), default=0) < found[name] and len(rows) == 1:
            raise ValueError(f"tokens hold {len(rows[0])} words for {name!r}, and the layers saw {found[name]}")
        # Padding of a batch stands at its end, where nobody says otherwise.
        streams[name] = [row + [""] * (found[name] - len(row)) for row in rows]
    return streams


def fed_streams(capture: Capture, running: Running, tokenizer: Any) -> dict[str, list[list[str]]]:
    """The words of the ids that the model was given, steps of a generation end to end."""
    found = lengths(capture)
    streams = {}
    for name, length in found.items():
        for ids in _candidates(capture, running, name):
            if ids.shape[1] == length:
                streams[name] = [_words(tokenizer, row) for row in ids.tolist()]
                break
    return streams


def _candidates(capture: Capture, running: Running, stream: str) -> list[Tensor]:
    """What may be this stream's ids, the likeliest first: those of the deepest module around its layers."""
    mine = [one.name for one in capture.layers if stream in (one.query_stream, one.key_stream) and one.kind != "cross"]
    others = [one.name for one in capture.layers if one.kind != "cross" and one.name not in mine]

    def around(path: str, names: list[str]) -> bool:
        return any(not path or name == path or name.startswith(path + ".") for name in names)

    asked = []
    for (path, argument), ids in running.fed.items():
        if argument == "decoder_input_ids":
            rank = 1 if stream == "decoder" else None
        elif not around(path, mine):
            # An encoder may have no layers of its own that were heard.
            rank = 3 if stream == "encoder" and not path else None
        else:
            rank = 0 if not around(path, others) else 2
        if rank is not None:
            asked.append(((rank, -path.count(".")), ids))
    asked.sort(key=lambda one: one[0])
    found = []
    for _, ids in asked:
        rows = [one if one.dim() == 2 else one[None] for one in ids]
        if len({one.shape[0] for one in rows}) == 1:
            found += [torch.cat(rows, dim=1), rows[-1]]
    return found


def _words(tokenizer: Any, ids: list[int]) -> list[str]:
    """One word an id, by a tokenizer of transformers, of tokenizers or of ours."""
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        words = list(tokenizer.convert_ids_to_tokens(ids))
    elif hasattr(tokenizer, "id_to_token"):
        words = [tokenizer.id_to_token(one) for one in ids]
    elif hasattr(tokenizer, "tokens"):
        words = list(tokenizer.tokens(ids))
    else:
        raise ValueError(
            f"a tokenizer must have convert_ids_to_tokens, id_to_token or tokens; {type(tokenizer).__name__} has none: "
            "give tokens instead"
        )
    return [f"<{one}>" if word is None else str(word) for one, word in zip(ids, words, strict=True)]


def patch_grid(capture: Capture, running: Running) -> None:
    """Name the patches of an image model, its text stream being "image": patches stand last, row by row."""
    found = lengths(capture)
    side = _patch_size(running.model)
    if running.pixels is None or side is None or set(found) != {"text"}:
        return
    height, width = (size // patch for size, patch in zip(running.pixels, side, strict=True))
    before = found["text"] - height * width
    if height * width == 0 or not 0 <= before <= 16:
        return
    names = [f"[{'CLS' if place == 0 else f'REG {place}'}]" for place in range(before)]
    names += [f"{row},{column}" for row in range(height) for column in range(width)]
    capture.streams["image"] = [list(names) for _ in range(capture.layers[0].batch)]
    capture.images["image"] = (height, width)
    for place, one in enumerate(capture.layers):
        sides = ("image" if one.query_stream == "text" else None, "image" if one.key_stream == "text" else None)
        capture.layers[place] = replace(one, query_stream=sides[0], key_stream=sides[1])


def _patch_size(model: Any) -> tuple[int, int] | None:
    """(height, width) of a patch, as the model's configuration or its embedding of patches says."""
    config = getattr(model, "config", None)
    size = getattr(config, "patch_size", None) or getattr(getattr(config, "vision_config", None), "patch_size", None)
    if isinstance(size, int):
        return (size, size)
    if isinstance(size, list | tuple) and len(size) == 2:
        return (int(size[0]), int(size[1]))
    return None
