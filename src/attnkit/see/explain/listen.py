"""Listening with the graph: every attention call of a model, so that gradients and changes reach inside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnkit.attention.heads import split_heads
from attnkit.errors import UsageError
from attnkit.kernels.attend import attend
from attnkit.layers import AttentionLayer, AttentionPooling
from attnkit.layers.taps import Seen, Tappable
from attnkit.see.explain.foreign import as_seen

# (name of the attention, tensor) to the tensor that takes its place: v_BGSE, or out_BHTE.
Change = Callable[[str, Tensor], Tensor]
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def listening(network: nn.Module) -> Iterator[list[Seen]]:
    """The attention calls of `network` while the block runs, in order; their `out_BHTE` stands in the graph.

    Heard are attnkit's layers, or else what the network asks of F.scaled_dot_product_attention.

    Raises: UsageError at the end of the block where nothing was heard.
    """
    seen: list[Seen] = []
    ear = _Ear(seen, [], None, None, threading.get_ident())
    with _watched(network, ear):
        yield seen
    _check_heard(network, ear)


@contextmanager
def changed(network: nn.Module, *, values: Change | None = None, output: Change | None = None) -> Iterator[None]:
    """While the block runs, values and mixed outputs of every attention are what `values` and `output` make of them.

    Nobody else may call the network meanwhile.

    Raises: UsageError at the end of the block where no attention was heard, so that nothing can have changed.
    """
    ear = _Ear(None, [], values, output, threading.get_ident())
    with _watched(network, ear):
        yield
    _check_heard(network, ear)


@dataclass(frozen=True, eq=False)
class _Ear:
    """What is kept of the calls (their names at least), and what is changed in those of one thread."""

    seen: list[Seen] | None
    calls: list[str]
    values: Change | None
    output: Change | None
    thread: int


def _check_heard(network: nn.Module, ear: _Ear) -> None:
    if not ear.calls:
        raise UsageError(
            f"no attention of {type(network).__name__} could be listened to: it holds no attnkit layer and called no "
            "F.scaled_dot_product_attention; load it with attn_implementation='sdpa', call nn.MultiheadAttention with "
            "need_weights=False, or use a method that needs no attention"
        )


@contextmanager
def _watched(network: nn.Module, ear: _Ear) -> Iterator[None]:
    with ExitStack() as stack:
        running: list[str] = []
        ours = False
        for name, module in network.named_modules():
            if isinstance(module, Tappable):
                ours = True
                _watch_layer(stack, name, module, ear)
            else:
                stack.callback(module.register_forward_pre_hook(_entered(running, name)).remove)
                stack.callback(module.register_forward_hook(_left(running), always_call=True).remove)
        if not ours:
            stack.enter_context(_watched_operator(running, ear))
        yield


def _entered(running: list[str], name: str) -> Callable[..., None]:
    return lambda *given: running.append(name)


def _left(running: list[str]) -> Callable[..., None]:
    def leave(*given: object) -> None:
        running.pop()

    return leave


def _watch_layer(stack: ExitStack, name: str, layer: Tappable, ear: _Ear) -> None:
    values, output = ear.values, ear.output
    last: list[Seen] = []

    def record(spec: Any, q: Tensor, k: Tensor, v: Tensor, where: Any, params: Any, state: Any, out: Tensor) -> None:
        type(layer)._record(layer, spec, q, k, v, where, params, state, out)
        ear.calls.append(name)
        last[:] = [Seen(name, spec, q, k, v, where, params, state, out)]
        if ear.seen is not None:
            ear.seen.append(last[0])

    # The class's own method records detached tensors; the attribute of this one layer stands before it.
    layer.__dict__["_record"] = record
    stack.callback(layer.__dict__.pop, "_record")
    if values is None and output is None:
        return
    if isinstance(layer, AttentionPooling):

        def pooled(module: nn.Module, given: object, mixed_BRM: Tensor) -> Tensor:
            return _pooled_again(last[0], values, output)

        stack.callback(layer.register_forward_hook(pooled).remove)
    elif isinstance(layer, AttentionLayer):
        if values is not None:
            put, groups = values, layer.layout.G

            def valued(module: nn.Module, given: object, v_BSN: Tensor) -> Tensor:
                return put(name, split_heads(v_BSN, groups)).transpose(1, 2).flatten(2)

            stack.callback(layer.value.register_forward_hook(valued).remove)
        if output is not None:
            make, heads = output, layer.layout.heads

            def mixed(module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
                return make(name, split_heads(given[0], heads)).transpose(1, 2).flatten(2)

            # Behind an output gate too a head is the same columns, and a head of zeros stays one.
            stack.callback(layer.out.register_forward_pre_hook(mixed).remove)
    else:
        raise UsageError(f"{type(layer).__name__} ({name}) can be listened to and not changed; use another method")


def _pooled_again(seen: Seen, values: Change | None, output: Change | None) -> Tensor:
    # Keys and values are one tensor here: changed values need a call of their own.
    mixed = seen.out_BHTE
    if values is not None:
        v = values(seen.name, seen.v_BGSE)
        mixed = attend(seen.q_BHTD, seen.k_BGSD, v, seen.spec, where=seen.where, params=seen.params, state=seen.state)
    if output is not None:
        mixed = output(seen.name, mixed)
    return mixed.transpose(1, 2).flatten(2)


@contextmanager
def _watched_operator(running: list[str], ear: _Ear) -> Iterator[None]:
    # The name in torch.nn.functional is replaced rather than a TorchFunctionMode entered: a mode does not see the call
    # inside nn.MultiheadAttention. Other threads pass through; two that listen wait for one another.
    with _ONE_AT_A_TIME:
        own = F.scaled_dot_product_attention

        def heard(
            query: Tensor,
            key: Tensor,
            value: Tensor,
            attn_mask: Tensor | None = None,
            dropout_p: float = 0.0,
            is_causal: bool = False,
            scale: float | None = None,
            enable_gqa: bool = False,
        ) -> Tensor:
            if threading.get_ident() != ear.thread or query.dim() != 4:
                return own(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
            name = running[-1] if running and running[-1] else f"attention {len(ear.calls)}"
            ear.calls.append(name)
            value = value if ear.values is None else ear.values(name, value)
            out = own(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
            out = out if ear.output is None else ear.output(name, out)
            if ear.seen is not None:
                ear.seen.append(as_seen(name, query, key, value, attn_mask, is_causal, scale, out))
            return out

        fast = torch.backends.mha.get_fastpath_enabled()
        # The encoder's fused path for inference never calls the operator.
        torch.backends.mha.set_fastpath_enabled(False)
        F.scaled_dot_product_attention = heard
        try:
            yield
        finally:
            F.scaled_dot_product_attention = own
            torch.backends.mha.set_fastpath_enabled(fast)
