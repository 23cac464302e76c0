"""Every caller of torch's attention, heard while it runs, and whoever writes attention out by hand."""

import inspect
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnkit.capture.foreign import Call
from attnkit.capture.listen_softmax import PRODUCTS, SOFTMAXES, Weights, begun, ended, followed
from attnkit.layers.model_operator import Wishes


class Hears(Protocol):
    """Who is told of the calls."""

    def heard(self, call: Call, dropout: float, other_text: bool | None) -> None:
        """One attention, and the share of its weights that dropout took."""

    def missed(self, what: str, name: str | None = None) -> None:
        """Something like an attention ran that cannot be recorded, in the module of that name or the innermost."""

    def running_name(self) -> str:
        """The innermost module that is running and more than a softmax."""

    def running_batch(self) -> int | None:
        """Texts that it was given, where its first argument says it."""


def _never(*_: Any) -> bool:
    return False


def _unguarded(function: Any) -> Callable[..., Any]:
    """The same function without its question whether a mode wants it, so that the mode sees what it calls."""
    names = dict(vars(F)) | {"has_torch_function": _never}
    twin = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


_MULTI_HEAD = _unguarded(F.multi_head_attention_forward)
_MULTI_HEAD_SIGNATURE = inspect.signature(F.multi_head_attention_forward)
_PRODUCTS = {torch.bmm, torch.baddbmm}
_UNSEEN = "a softmax of its own, whose weights are not multiplied with values in a way that is known"


@dataclass
class _MultiHead:
    """A call of multi_head_attention_forward that is running."""

    heads: int
    other_text: bool
    dropout: float
    product: tuple[Tensor | None, Tensor, Tensor] | None = None
    done: bool = False


@dataclass
class _State:
    multi_head: list[_MultiHead] = field(default_factory=list)
    weights: Weights | None = None
    softmax_in: str = ""
    hushed: int = 0


class FunctionListener(TorchFunctionMode):
    """Calls each function with the very arguments it was given, and tells of those that are attention."""

    def __init__(self, told: Hears) -> None:
        super().__init__()
        self.told, self._state = told, _State()

    @contextmanager
    def hushed(self) -> Any:
        """Nothing is told of while the block runs, for its caller does."""
        self._state.hushed += 1
        try:
            yield
        finally:
            self._state.hushed -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function's own answer."""
        kwargs = kwargs or {}
        if self._state.hushed or torch.compiler.is_compiling():
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            out = func(*args, **kwargs)
            if not _in_our_kernels():
                self._scaled_dot_product(out, *args, **kwargs)
            return out
        if func is F.multi_head_attention_forward:
            return self._multi_head(args, kwargs)
        running = self._state.multi_head[-1] if self._state.multi_head else None
        if running is not None and func in _PRODUCTS:
            out = func(*args, **kwargs)
            self._product(running, out, func, args)
            return out
        if getattr(func, "__name__", "") == "flex_attention":
            self.told.missed("flex_attention, which shows neither its mask nor its scores")
        out = func(*args, **kwargs)
        if running is None:
            self._by_hand(out, func, args, kwargs)
        return out

    def forget(self) -> None:
        """Say that weights were seen and no values, where it is so."""
        if self._state.weights is not None:
            self._state.weights = None
            self.told.missed(_UNSEEN, self._state.softmax_in)

    def _by_hand(self, out: Any, func: Any, args: Any, kwargs: Any) -> None:
        weights = self._state.weights
        if func in SOFTMAXES:
            found = begun(out, args, kwargs)
            if found is not None and self.told.running_name() and not _in_our_kernels():
                self.forget()
                self._state.weights, self._state.softmax_in = found, self.told.running_name()
        elif weights is None:
            return
        elif func in PRODUCTS and len(args) > 1 and weights.are(args[0]):
            self._state.weights = None
            call = ended(weights, out, args, self.told.running_batch())
            if call is None:
                self.told.missed(_UNSEEN, self._state.softmax_in)
            else:
                self.told.heard(call, weights.dropout, None)
        else:
            followed(weights, out, func, args, kwargs)

    def _scaled_dot_product(
        self,
        out: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        if query.is_nested or key.is_nested:
            self.told.missed("attention on nested tensors, whose texts have no map of one shape; pad them")
            return
        mask = attn_mask
        if mask is not None:
            mask = mask.detach()
            if query.dim() == 3 and mask.dim() == 3:
                mask = mask.unsqueeze(1)
            elif out.dim() > 4:
                mask = mask.expand(*out.shape[:-1], key.shape[-2]).flatten(0, -4)
            while mask.dim() < 4:
                mask = mask.unsqueeze(0)
        q, k, v, mixed = (_four_axes(x, out) for x in (query, key, value, out))
        q = q.expand(-1, mixed.shape[1], -1, -1)
        running = self._state.multi_head[-1] if self._state.multi_head else None
        call = Call(q, k, v, mixed, mask, is_causal, Wishes(scaling=scale))
        self.told.heard(call, dropout_p, None if running is None else running.other_text)

    def _multi_head(self, args: Any, kwargs: Any) -> Any:
        given = _MULTI_HEAD_SIGNATURE.bind(*args, **kwargs)
        given.apply_defaults()
        asked = given.arguments
        dropout = asked["dropout_p"] if asked["training"] else 0.0
        self._state.multi_head.append(_MultiHead(asked["num_heads"], asked["query"] is not asked["key"], dropout))
        try:
            with self:
                return _MULTI_HEAD(*args, **kwargs)
        finally:
            self._state.multi_head.pop()

    def _product(self, running: _MultiHead, out: Tensor, func: Any, args: Any) -> None:
        """The first product makes the scores, the second mixes the values; queries are scaled before either."""
        if running.product is None:
            mask, q, k_turned = args if func is torch.baddbmm else (None, *args)
            running.product = mask, q, k_turned.transpose(-2, -1)
        elif not running.done:
            running.done = True
            mask, q, k = running.product
            q, k, v, mixed = (x.detach().unflatten(0, (-1, running.heads)) for x in (q, k, args[1], out))
            if mask is not None:
                mask = mask.detach()[None] if mask.shape[0] == 1 else mask.detach().unflatten(0, (-1, running.heads))
            call = Call(q, k, v, mixed, mask, False, Wishes(scaling=1.0))
            self.told.heard(call, running.dropout, running.other_text)


def _four_axes(x: Tensor, out: Tensor) -> Tensor:
    """(B, H, T, D) with the items of `out`: one head where it has no axis for them, axes before the heads in one."""
    x = x.detach()
    x = x[(None,) * (out.dim() - x.dim())]
    if out.dim() == 2:
        return x[None, None]
    if out.dim() == 3:
        return x.expand(out.shape[0], -1, -1).unsqueeze(1)
    return x.expand(*out.shape[:-3], -1, -1, -1).flatten(0, -4)


def _in_our_kernels() -> bool:
    """True where an operator of ours is running, which is told of by itself and calls torch for parts of it."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(("attnkit.kernels", "attnkit.attention")):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
