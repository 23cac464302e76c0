"""Execute: a call on the kernel that is planned for it, and what is inside it on kernels of their own."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Composed
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.dense import warn_of_dense
from attnkit.kernels.kernel import Call
from attnkit.kernels.plan import plan
from attnkit.kernels.situation import Situation


def planned(spec: Attention, call: Call, kernel: str, intent: str, needs_grad: bool, learns: bool) -> Tensor:
    """out_BHTE on the kernel that the plan names."""
    q, k, v, dropout = call.q_BHTD, call.k_BGSD, call.v_BGSE, call.dropout
    situation = Situation.of(q, k, v, call.where, dropout=dropout, intent=intent, needs_grad=needs_grad, learns=learns)
    # torch.compile looks through a cache, and warns of it.
    chosen = (plan.__wrapped__ if torch.compiler.is_compiling() else plan)(spec, situation, kernel)
    warn_of_dense(spec, chosen)
    if isinstance(spec, Composed):
        call = replace(call, mixer=partial(_by_plan, intent))
    return chosen.kernel.run(spec, call)


def wants_gradients(q: Tensor, k: Tensor, v: Tensor, params: Params) -> tuple[bool, bool]:
    """Whether anything at all wants a gradient, and whether a parameter does."""
    if not torch.is_grad_enabled():
        return False, False
    learns = any(x.requires_grad for x in params.values())
    return learns or q.requires_grad or k.requires_grad or v.requires_grad, learns


def _by_plan(
    intent: str,
    part: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    where: Where,
    params: Params | None,
    state: Tensor | None,
) -> Tensor:
    params = params or {}
    needs_grad, learns = wants_gradients(q, k, v, params)
    return planned(part, Call(q, k, v, where, params, state), "auto", intent, needs_grad, learns)
