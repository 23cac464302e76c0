"""capture: what a model's attention does, recorded while the model runs as it always does."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, get_args

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention, where_or_all
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.capture.captured import LEVELS, Capture, Check, Kind, Level, Wanted
from attnkit.capture.listen_functions import FunctionListener
from attnkit.capture.listen_modules import Running
from attnkit.capture.listen_transformers import transformers_heard
from attnkit.capture.measure import measure
from attnkit.capture.recorder import Heads, Recorder
from attnkit.capture.size import size_bytes
from attnkit.capture.statistics import chosen
from attnkit.capture.streams import Tokens, fed_streams, given_streams, name_streams, patch_grid
from attnkit.kernels.attend import VASWANI, attend
from attnkit.layers.taps import Seen, hearing, tappable_layers

# Held while a capture runs, by whichever thread: hooks and torch's settings are those of the whole process.
_open = Lock()


@contextmanager
def capture(
    model: nn.Module,
    level: Level = "stats",
    *,
    rows: int | None = None,
    statistics: Sequence[str] | None = None,
    blocks: int = 64,
    edges: int = 8,
    focus: Mapping[str, Heads] | Sequence[str] | None = None,
    tokens: Tokens | Mapping[str, Tokens] | None = None,
    tokenizer: Any = None,
    budget: str | int | None = None,
) -> Iterator[Capture]:
    """Record the attention of one input, bit for bit as it is: `with capture(model) as seen: model(**x)`.

    Heard are layers of ours, every caller of `F.scaled_dot_product_attention`, `nn.MultiheadAttention` and what is
    built of it, models of transformers with any of their attentions, and attention written out by hand as a softmax of
    scores times values. A block holds one input: one forward pass, or the steps of one `generate` with a cache, which
    come to one map. A layer is called as its module is in the model, with `:2` and so on where it attends again in the
    same pass.

    `level`: "stats" keeps a number a query or key and head, and nothing of the size of T x D past a call; "maps" also
    pooled maps of at most `blocks` a side and the `edges` heaviest keys a query; "full" also queries, keys and values.
    `rows` queries are sampled where it is given. `focus` names layers (or patterns, such as "encoder.*") and the heads
    of them that are wanted, None for all. `tokens` are the words of each item, or by stream ("text", or "encoder" and
    "decoder"); or give the `tokenizer`, and they are read off the model's `input_ids`. `budget` ("1.5MB") is what
    saving keeps to unless told otherwise.

    The fast path of `nn.TransformerEncoder` and `nn.MultiheadAttention` shows nothing and is off within the block.

    Raises: ValueError where nothing was heard, with the reason; for a compiled model, a capture in a capture, a second
        input in a block, or an option that does not fit.
    Cost: that of the statistics; see `attnkit.capture.measure`.
    """
    wanted, size = _wanted(level, rows, statistics, blocks, edges), None if budget is None else size_bytes(budget)
    _check_model(model)
    if tokens is not None and tokenizer is not None:
        raise ValueError("give tokens or a tokenizer, not both")
    seen = Capture(title=type(model).__name__, budget_bytes=size)
    running = Running(model)
    chosen_layers = _focused(focus)
    recorder = Recorder(running, wanted, chosen_layers, measure, seen)
    listener = FunctionListener(recorder)

    def told(module: nn.Module, *heard: Any) -> None:
        with listener.hushed():
            if isinstance(heard[0], Seen):
                recorder.seen(module, *heard)
            elif isinstance(heard[0], str):
                recorder.missed(heard[0])
            else:
                recorder.told(module, *heard)

    if not _open.acquire(blocking=False):
        raise ValueError("a capture is running already; leave its block first")
    try:
        with ExitStack() as stack:
            stack.enter_context(_slow_path(model, seen))
            stack.enter_context(running.followed())
            stack.enter_context(hearing(tappable_layers(model), told))
            stack.enter_context(transformers_heard(running, listener, told))
            stack.enter_context(listener)
            yield seen
            listener.forget()
    finally:
        _open.release()
    recorder.finish()
    _check_heard(model, recorder, running)
    _name(seen, recorder, running, tokens, tokenizer)


def capture_arrays(
    q: Any,
    k: Any,
    v: Any = None,
    spec: Attention = VASWANI,
    where: Where | None = None,
    *,
    params: Params | None = None,
    state: Tensor | None = None,
    kind: Kind | None = None,
    level: Level = "maps",
    rows: int | None = None,
    statistics: Sequence[str] | None = None,
    blocks: int = 64,
    edges: int = 8,
    tokens: Tokens | Mapping[str, Tokens] | None = None,
    name: str = "attention",
) -> Capture:
    """The capture of one attention on given q (B, H, T, D), k (B, G, S, D) and v (B, G, S, E), tensors or arrays.

    Without `v` what reads values is undefined. `kind` is "self" where T = S and "cross" where not, unless given.

    Raises: ValueError where shapes, masks or options do not fit together.
    """
    wanted = _wanted(level, rows, statistics, blocks, edges)
    if kind is not None and kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
    q, k = torch.as_tensor(q).detach(), torch.as_tensor(k).detach()
    values = q.new_zeros(*k.shape[:3], 1) if v is None else torch.as_tensor(v).detach()
    with torch.no_grad():
        out = attend(q, k, values, spec, where=where, params=params, state=state)
        seen = Seen(name, spec, q, k, values, where_or_all(where, q, k), params or {}, state, out)
        layer = measure(seen, kind or ("self" if q.shape[2] == k.shape[2] else "cross"), wanted)
    if v is None:
        why = "no values were given"
        kept = {one: x for one, x in layer.statistics.items() if one not in _OF_VALUES}
        missing = {one: why for one in _OF_VALUES if one in chosen(wanted.statistics)}
        layer = replace(layer, statistics=kept, undefined=layer.undefined | missing, check=Check(None, 0, why))
    found = Capture([layer], title=name)
    name_streams(found)
    if tokens is not None:
        found.streams = given_streams(found, tokens, layer.batch)
    return found


_OF_VALUES = ("value_norm", "received_norm")


def _wanted(level: str, rows: int | None, statistics: Sequence[str] | None, blocks: int, edges: int) -> Wanted:
    if level not in LEVELS:
        raise ValueError(f'level must be "stats", "maps" or "full"; got {level!r}')
    for name, count, least in (("rows", rows, 1), ("blocks", blocks, 1), ("edges", edges, 0)):
        if count is not None and (type(count) is not int or count < least):
            raise ValueError(f"{name} must be a whole number of at least {least}; got {count!r}")
    names = None if statistics is None else chosen(tuple(statistics))
    return Wanted(level, names, rows, blocks, edges)


def _focused(focus: object) -> Mapping[str, Heads] | None:
    """Heads by the name of their layer.

    Raises: ValueError where it is neither that nor a list of names.
    """
    if focus is None:
        return None
    by_name = dict.fromkeys(focus, None) if isinstance(focus, list | tuple | set) else focus
    if isinstance(by_name, Mapping) and all(isinstance(name, str) for name in by_name):
        return by_name
    raise ValueError(
        f"focus is a list of layers' names, or heads by name, such as {{'encoder.*': [0, 3]}}; got {focus!r}"
    )


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise ValueError(f"capture listens to an nn.Module; got {type(model).__name__}")
    for name, module in model.named_modules():
        where = f"{name} ({type(module).__name__})" if name else type(module).__name__
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise ValueError(
                f"{where} is compiled, and its program shows no attention; capture the model before compiling"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{where} is TorchScript, which runs where nobody can listen; capture the model it was made of"
            )


@contextmanager
def _slow_path(model: nn.Module, seen: Capture) -> Iterator[None]:
    """Without the fused layers of torch, which hide their attention."""
    before = torch.backends.mha.get_fastpath_enabled()
    hidden = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
    fast = before and any(isinstance(one, hidden) and not one.training for one in model.modules())
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    if fast:
        seen.notes.append(
            "torch's fast path for nn.MultiheadAttention and nn.TransformerEncoderLayer was off while listening: "
            "without gradients its answers differ from these in the last digits, and on padding"
        )


def _check_heard(model: nn.Module, recorder: Recorder, running: Running) -> None:
    """Raise where there is nothing, and note which layers gave nothing."""
    silent = [f"{name} ran {what}" for name, what in recorder.silent.items() if name not in recorder.tracks]
    seen = recorder.capture
    if seen.layers:
        seen.notes += [f"not heard: {one}" for one in silent if "ttention" in one or "attn" in one]
        seen.notes += [
            f"{name}: rows of the map are off the layer's own output by {error:.2g} of its size, so that this "
            "attention does more than was heard of it"
            for name, error in recorder.doubtful.items()
        ]
        return
    kind = type(model).__name__
    if recorder.passed:
        raise ValueError(
            f"focus names no layer of {kind}; those with attention are {', '.join(sorted(recorder.passed))}"
        )
    if running.turn == 0:
        raise ValueError(f"nothing was captured: {kind} was not called in the block")
    if silent:
        raise ValueError(f"nothing was captured of {kind}: {'; '.join(silent[:8])}")
    raise ValueError(
        f"nothing was captured: {kind} ran without an attention layer of ours, nn.MultiheadAttention, an attention of "
        "transformers or F.scaled_dot_product_attention"
    )


def _name(seen: Capture, recorder: Recorder, running: Running, tokens: Any, tokenizer: Any) -> None:
    """Say which texts the layers look at, and their words."""
    name_streams(seen)
    if tokens is not None:
        seen.streams = given_streams(seen, tokens, seen.layers[0].batch)
    elif tokenizer is not None:
        seen.streams = fed_streams(seen, running, tokenizer)
        if not seen.streams:
            seen.notes.append("the words are not known: the model was given no ids as long as its maps; give tokens")
    else:
        patch_grid(seen, running)
