"""An opaque kernel as one operator of PyTorch, so that a compiled program calls it and does not look inside."""

import json
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.plain import from_plain, to_plain
from attnkit.attention.position.base import Position
from attnkit.attention.where import Where
from attnkit.kernels.execute import planned
from attnkit.kernels.kernel import Call
from attnkit.kernels.plan import KERNELS
from attnkit.kernels.rows.program import device_of
from attnkit.kernels.sdpa import plain_softmax

# The tensors of a Where, in the order in which they travel.
_PLACES = (
    "query_position",
    "key_position",
    "keep",
    "query_keep",
    "query_document",
    "key_document",
    "lengths",
    "count",
)

_RECORDERS = (torch._C.DispatchKey.AutogradFunctionality, torch._C.DispatchKey.AutogradOther)


def is_traced(spec: Attention, call: Call, kernel: str) -> bool:
    """True where torch.compile shall look inside: a kernel asked for that it can read, or nothing but torch's own.

    Whatever depends on sizes is planned when the program runs, and so inside the operator.
    """
    if kernel != "auto":
        return not any(each.opaque for each in KERNELS if each.name == kernel)
    plain = plain_softmax(spec) is None
    return (
        plain
        and isinstance(spec, Pairwise)
        and type(spec.position).bias is Position.bias
        and (type(spec.pattern) is Full or (type(spec.pattern) is Causal and call.where.kept is None))
        and call.where.lengths is None
        and call.dropout == 0
        # On a processor that has products of bfloat16 another kernel is planned.
        and call.q_BHTD.dtype != torch.bfloat16
    )


def run_opaque(spec: Attention, call: Call, kernel: str, intent: str, needs_grad: bool, learns: bool) -> Tensor:
    """out_BHTE on the kernel that is planned when it runs, as the operator `attnkit::attend` of a compiled program.

    The backward pass runs that kernel once more and differentiates it.

    Raises: ValueError where the operator's type cannot be imported by its name; RuntimeError for second derivatives.
    """
    where = call.where
    seed = None
    if call.dropout:
        # The seed is drawn outside, so that both directions see one mask, and anew at each call.
        seed = torch.randint(0, 2**62, (1,), generator=call.generator, device=device_of(call.generator))
    # Plain data are made in the trace: an operator that was itself made there would reach a function of constants with
    # the fields of its defaults (torch 2.13).
    setting = _written(_fixed(to_plain(spec)), kernel, intent, needs_grad, learns, tuple(call.params), where.aligned)
    tensors = [call.q_BHTD, call.k_BGSD, call.v_BGSE, *call.params.values()]
    if call.state is not None:
        tensors.append(call.state)
    return cast(Tensor, _attend(tensors, [getattr(where, name) for name in _PLACES], seed, call.dropout, setting))


def _fixed(plain: Any) -> Any:
    """Plain data in which no number is a symbol: with dynamic=True torch.compile takes every number for a size."""
    from torch.fx.experimental.symbolic_shapes import guard_scalar  # brings sympy with it, which takes a second

    if isinstance(plain, dict):
        return {key: _fixed(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_fixed(value) for value in plain]
    return plain if isinstance(plain, bool | str | None) else guard_scalar(plain)


def _written(
    plain: dict[str, Any],
    kernel: str,
    intent: str,
    needs_grad: bool,
    learns: bool,
    names: tuple[str, ...],
    aligned: bool,
) -> str:
    """All of a call that is no tensor, as JSON: a compiled program may be kept, and read by another process."""
    try:
        from_plain(plain, allow_code=True)
    except ValueError as error:
        raise ValueError(
            f"torch.compile calls this attention by its name, and its type must be importable: {error}; "
            "define it at the top of a module, or use kernel='reference'"
        ) from None
    told = {"spec": plain, "kernel": kernel, "intent": intent, "needs_grad": needs_grad, "learns": learns}
    return json.dumps(told | {"names": names, "aligned": aligned}, sort_keys=True)


# What torch.compiler.assume_constant_result does, without its import of a compiler, which takes seconds.
_written._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _run(
    tensors: Sequence[Tensor], places: Sequence[Tensor | None], seed: Tensor | None, dropout: float, setting: str
) -> Tensor:
    told = json.loads(setting)
    q, k, v, *others = tensors
    names = told["names"]
    where = Where(**dict(zip(_PLACES, places, strict=True)), aligned=told["aligned"])  # type: ignore[arg-type]
    params = dict(zip(names, others, strict=False))
    state = others[len(names)] if len(others) > len(names) else None
    generator = None if seed is None else torch.Generator(q.device).manual_seed(int(seed))
    call = Call(q, k, v, where, params, state, dropout, generator)
    spec = cast(Attention, from_plain(told["spec"], allow_code=True))
    with torch.autocast(q.device.type, enabled=False):
        return planned(spec, call, told["kernel"], told["intent"], told["needs_grad"], told["learns"])


@torch.library.custom_op("attnkit::attend", mutates_args=())
def _attend(
    tensors: Sequence[Tensor], places: Sequence[Tensor | None], seed: Tensor | None, dropout: float, setting: str
) -> Tensor:
    """out_BHTE of q, k, v, the parameters and the state."""
    with torch.no_grad():
        return _run(tensors, places, seed, dropout, setting).contiguous()


@_attend.register_fake
def _(
    tensors: Sequence[Tensor], places: Sequence[Tensor | None], seed: Tensor | None, dropout: float, setting: str
) -> Tensor:
    q, _, v, *_ = tensors
    return v.new_empty(*q.shape[:3], v.shape[3])


def _recording() -> Any:
    """Lets what runs within an operator be recorded for differentiation, which PyTorch leaves out there."""
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in _RECORDERS:
        excluded = excluded.remove(key)
    return torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)


@torch.library.custom_op("attnkit::attend_backward", mutates_args=())
def _backward(
    grad: Tensor,
    tensors: Sequence[Tensor],
    places: Sequence[Tensor | None],
    seed: Tensor | None,
    dropout: float,
    setting: str,
) -> list[Tensor]:
    """The gradients of all `tensors`, by running the kernel again."""
    with _recording(), torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in tensors]
        out = _run(leaves, places, seed, dropout, setting)
        found = torch.autograd.grad(out, leaves, grad, allow_unused=True)
    return [torch.zeros_like(x) if one is None else one.contiguous() for x, one in zip(leaves, found, strict=True)]


@_backward.register_fake
def _(
    grad: Tensor,
    tensors: Sequence[Tensor],
    places: Sequence[Tensor | None],
    seed: Tensor | None,
    dropout: float,
    setting: str,
) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in tensors]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensors, places, seed, ctx.dropout, ctx.setting = inputs
    ctx.count = len(tensors)
    ctx.save_for_backward(*tensors, *places, seed)


def _differentiated(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    *saved, seed = ctx.saved_tensors
    grads = _backward(grad.contiguous(), saved[: ctx.count], saved[ctx.count :], seed, ctx.dropout, ctx.setting)
    return grads, None, None, None, None


def _not_twice(ctx: Any, *grads: Any) -> tuple[Any, ...]:
    raise RuntimeError("a compiled attention gives no second derivatives; call attend outside torch.compile")


_attend.register_autograd(_differentiated, setup_context=_keep)
_backward.register_autograd(_not_twice)
