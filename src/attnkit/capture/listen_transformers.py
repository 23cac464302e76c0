"""Models of transformers, heard where each hands queries, keys and values to whichever attention it was told to use."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.capture.foreign import Call
from attnkit.capture.listen_functions import FunctionListener
from attnkit.capture.listen_modules import Running
from attnkit.layers.model_operator import Wishes
from attnkit.layers.transformers import ModelAttention


@contextmanager
def transformers_heard(running: Running, listener: FunctionListener, told: Callable[..., None]) -> Iterator[None]:
    """Tell of each call of eager and scaled dot product attention, whose arguments say all there is.

    `told` is called with (module, call, dropout). An attention of another name runs as it is and is heard by what it
    calls, or `told` is called with (module, why not). Does nothing where transformers has not been imported.
    """
    interface = getattr(sys.modules.get("transformers.modeling_utils"), "AttentionInterface", None)
    original = getattr(interface, "get_interface", None)
    if interface is None or original is None:
        yield
        return
    plain = getattr(sys.modules.get("transformers.integrations.sdpa_attention"), "sdpa_attention_forward", None)

    def get_interface(self: Any, attn_implementation: str, default: Any) -> Any:
        function = original(self, attn_implementation, default)
        if isinstance(function, ModelAttention):
            return function
        hidden = function is not default and function is not plain

        def attending(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling() or module not in running.names:
                return function(module, query, key, value, *args, **kwargs)
            if hidden:
                told(
                    module,
                    f"{attn_implementation!r} of transformers, which calls no attention of torch's that is heard",
                )
                return function(module, query, key, value, *args, **kwargs)
            with listener.hushed():
                out, weights = function(module, query, key, value, *args, **kwargs)
            mask = args[0] if args else kwargs.get("attention_mask")
            call = _read(module, query, key, value, mask, kwargs, out, function is plain)
            dropout = kwargs.get("dropout", 0.0)
            told(module, call, dropout if function is plain or module.training else 0.0)
            return out, weights

        return attending

    interface.get_interface = get_interface
    try:
        yield
    finally:
        interface.get_interface = original


def _read(
    module: nn.Module,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    asked: dict[str, Any],
    out: Tensor,
    is_plain: bool,
) -> Call:
    """The call in torch's words: `sdpa` is causal by itself where nobody gives a mask, `eager` never is."""
    T, S = q.shape[2], k.shape[2]
    causal = False
    if is_plain:
        wanted = asked.get("is_causal")
        causal = T > 1 and mask is None and bool(getattr(module, "is_causal", True) if wanted is None else wanted)
    bias, sinks = asked.get("position_bias"), asked.get("s_aux")
    if mask is not None:
        mask = mask.detach()[..., :S]
        while mask.dim() < 4:
            mask = mask.unsqueeze(0)
    mixed = out.reshape(q.shape[0], T, q.shape[1], -1).transpose(1, 2)
    wishes = Wishes(
        asked.get("scaling"),
        asked.get("softcap"),
        None if sinks is None else sinks.detach(),
        None if bias is None else bias.detach()[..., :S],
    )
    return Call(q.detach(), k.detach(), v.detach(), mixed.detach(), mask, causal, wishes)
