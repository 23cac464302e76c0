"""Subject: somebody's attention as the laws call it, and what is claimed of it."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention, Claims
from attnkit.attention.part import Dims, Part, init_params
from attnkit.attention.where import Where

Call = Callable[[Any, Tensor, Tensor, Tensor, Where], Tensor]


@dataclass(frozen=True)
class Facts:
    """What is claimed of an attention: True is held to, False is to be seen failing, None says nothing.

    `window` is the number of keys each query sees once the sequence is longer than it.

    Raises: ValueError where `window` is below one.
    """

    rows_sum_to_one: bool | None = None
    nonnegative: bool | None = None
    causal: bool | None = None
    order_free: bool | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"a window holds at least 1 key; got {self.window}")


@dataclass(frozen=True, eq=False)
class Subject:
    """`call(q, k, v, where, params)` gives out_BHTE; `spec` is set where the attention is one of ours.

    `given` says that the parameters are somebody's own, and not drawn here.
    """

    name: str
    facts: Facts
    dims: Dims
    function: Any
    adapter: Call | None
    params: dict[str, Tensor]
    spec: Attention | None = None
    given: bool = False

    def call(self, q: Tensor, k: Tensor, v: Tensor, where: Where, params: dict[str, Tensor] | None = None) -> Tensor:
        """The values mixed: out_BHTE."""
        if self.spec is not None:
            params = self.params if params is None else params
            return self.spec.mix(q, k, v, where, params, self.state(q, k, where, params))
        if self.adapter is not None:
            return self.adapter(self.function, q, k, v, where)
        return self.function(q, k, v, where)

    def matrix(self, q: Tensor, k: Tensor, where: Where, params: dict[str, Tensor] | None = None) -> Tensor:
        """A_BHTS: the operator's own word for ours, read out with identity values for anyone else's."""
        if self.spec is None:
            return self.read_out(q, k, where)
        params = self.params if params is None else params
        return self.spec.matrix(q, k, where, params, self.state(q, k, where, params))

    def read_out(self, q: Tensor, k: Tensor, where: Where) -> Tensor:
        """A_BHTS from values that are rows of the identity, E columns at a time, since many take one value width."""
        B, G, S, _ = k.shape
        E = self.dims.value_width if self.spec is None else S
        columns = -(-S // E) * E
        identity = torch.eye(S, columns, dtype=q.dtype).expand(B, G, S, columns)
        parts = [
            self.call(q, k, identity[..., start : start + E].contiguous(), where) for start in range(0, columns, E)
        ]
        return torch.cat(parts, dim=-1)[..., :S].detach()

    def state(self, q: Tensor, k: Tensor, where: Where, params: dict[str, Tensor]) -> Tensor | None:
        """The rows of a lower layer, for those who read them: the same operator on other features of the tokens."""
        if self.spec is None or not self.spec.needs_state:
            return None
        return self.spec.matrix(q.roll(1, -1), k.flip(-1), where, params, None)

    def redrawn(self, generator: torch.Generator) -> "Subject":
        """The same operator with other parameters; the very same where they are given or none of ours."""
        if self.spec is None or self.given:
            return self
        return replace(self, params=random_params(self.spec, self.dims, generator))

    def at(self, dtype: torch.dtype) -> "Subject":
        """The same attention with its parameters in `dtype`."""
        function = copy.deepcopy(self.function).to(dtype) if isinstance(self.function, nn.Module) else self.function
        params = {name: value.to(dtype) if value.is_floating_point() else value for name, value in self.params.items()}
        return replace(self, function=function, params=params)


def subject_of(
    fn: Any,
    claims: Claims | Facts | None,
    call: Call | None,
    params: dict[str, Tensor] | None,
    dims: Dims,
    generator: torch.Generator,
) -> Subject:
    """`fn` made ready for the laws, in float64; of a layer of ours its operator, with the parameters that it holds.

    Of any other module a copy in evaluation mode, so that active dropout does not pass for a broken law; an adapter
    that means training calls `fn.train()` on what it is given.

    Raises: ValueError where `fn` is neither one of our operators nor callable, does not take (q, k, v, where) and comes
    without an adapter, or an adapter is given for one of ours.
    """
    if call is None and isinstance(getattr(fn, "spec", None), Attention):
        tree = fn.operator
        held = {name: value.detach() for name, value in tree.flat().items()} if params is None else params
        fn, params, dims = fn.spec, held, tree.dims
    if isinstance(fn, Attention):
        if call is not None:
            raise ValueError(f"{type(fn).__name__} is called by its own mix; leave `call` out")
        drawn = random_params(fn, dims, generator) if params is None else dict(params)
        facts = _facts(fn.claims() if claims is None else claims)
        return Subject(type(fn).__name__, facts, dims, None, None, drawn, fn, params is not None).at(torch.float64)
    if not callable(fn):
        raise ValueError(f"check_attention takes an operator, a function or a module; got {type(fn).__name__}")
    name = getattr(fn, "__name__", type(fn).__name__)
    if call is None:
        _takes_where(fn, name)
    subject = Subject(name, _facts(claims), dims, fn, call, {}).at(torch.float64)
    if isinstance(subject.function, nn.Module):
        subject.function.eval()
    return subject


def _takes_where(fn: Any, name: str) -> None:
    try:
        given = inspect.signature(fn)
    except ValueError:  # built-in functions may keep their signature to themselves
        return
    try:
        given.bind("q", "k", "v", "where")
    except TypeError:
        raise ValueError(
            f"{name} is called as {name}(q, k, v, where) and takes {given}; give it those four, or an adapter "
            "call(fn, q, k, v, where) that calls it its own way"
        ) from None


def random_params(
    part: Part, dims: Dims, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Parameters away from where they begin, so that what is the identity at first does something."""
    start = init_params(part, dims, generator, dtype)
    return {
        name: value + 0.3 * torch.randn(value.shape, generator=generator, dtype=dtype) for name, value in start.items()
    }


def _facts(claims: Claims | Facts | None) -> Facts:
    if isinstance(claims, Claims):
        return Facts(claims.rows_sum_to_one, claims.nonnegative, claims.causal, claims.order_free)
    return Facts() if claims is None else claims
