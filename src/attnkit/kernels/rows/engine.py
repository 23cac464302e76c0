"""The engine: a program over all slabs, forward, and backward with every slab made again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.denormals import flushed
from attnkit.kernels.kernel import Call
from attnkit.kernels.partition import Slab
from attnkit.kernels.rows.held import slab_numbers
from attnkit.kernels.rows.place import Place, Space, add_product, places, product
from attnkit.kernels.rows.program import Program, program
from attnkit.kernels.rows.stage import room


@dataclass(frozen=True, eq=False)
class Job:
    """All of a call but its tensors: what `Rowed` needs beside them."""

    spec: Pairwise
    where: Where
    names: tuple[str, ...]
    dropout: float
    seed: int | None
    slabs: tuple[Slab, ...]
    beyond: tuple[int, int]
    reverse: bool

    def call(self, tensors: Sequence[Tensor | None]) -> Call:
        """The call with these tensors: q, k, v, the state and the parameters."""
        q, k, v, state, *params = tensors
        assert q is not None and k is not None and v is not None
        named: Params = {name: value for name, value in zip(self.names, params, strict=True) if value is not None}
        return Call(q, k, v, self.where, named, state, self.dropout)

    def places(self, made: Program, heads: int) -> Iterator[Place]:
        """Every place of the program: all heads together where a stage wants them, else as many as fill a slab."""
        batch = made.v_BHSE.shape[0]
        largest = max((slab.pairs for slab in self.slabs), default=1)
        together = max(1, min(heads, slab_numbers(self.spec, heads) // max(1, largest)))
        together = heads if made.whole_heads else together
        where = self.where.reversed() if self.reverse else self.where
        return places(self.spec, where, batch, heads, self.slabs, self.beyond, together)


class Rowed(torch.autograd.Function):
    """out_BHTE of a job; second derivatives go through the reference, whose map is kept whole."""

    @staticmethod
    def forward(ctx: Any, job: Job, *tensors: Tensor | None) -> Tensor:
        q, v = tensors[0], tensors[2]
        assert q is not None and v is not None
        ctx.job = job
        ctx.save_for_backward(*tensors)
        with torch.autocast(q.device.type, enabled=False), flushed():
            made = program(job.spec, job.call(tensors), job.seed, job.reverse)
            out = torch.zeros(*q.shape[:3], v.shape[3], dtype=made.v_BHSE.dtype, device=q.device)
            space = Space(out.dtype, out.device)
            for place in job.places(made, q.shape[1]):
                weights = _weights(made, place, space, keep=False)[:, place.within]
                values = place.of_heads(made.v_BHSE)[:, place.columns]
                product(weights, values, place.of_heads(out)[:, place.core])
        return (out.flip(2) if job.reverse else out).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        job, tensors = ctx.job, ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_twice(job, tensors, grad, ctx.needs_input_grad[1:])
        leaves = [
            None if x is None else x.detach().requires_grad_(wanted)
            for x, wanted in zip(tensors, ctx.needs_input_grad[1:], strict=True)
        ]
        with torch.autocast(grad.device.type, enabled=False):
            with torch.enable_grad():
                made = program(job.spec, job.call(leaves), job.seed, job.reverse)
            reached = [x for x in made.tensors if x.requires_grad]
            grad = grad.flip(2) if job.reverse else grad
            with flushed():
                collected = _collect(job, made, grad.to(made.v_BHSE.dtype))
            wanted = [x for x in leaves if x is not None and x.requires_grad]
            found = iter(torch.autograd.grad(reached, wanted, collected, allow_unused=True))
        return None, *(next(found) if x is not None and x.requires_grad else None for x in leaves)


def _weights(made: Program, place: Place, space: Space, keep: bool) -> Tensor:
    x = space.take("scores", (0, 0, 0))
    for stage in made.stages:
        x = stage.forward(x, place, space, keep)
    return x


@torch.no_grad()
def _collect(job: Job, made: Program, grad_BHTE: Tensor) -> list[Tensor]:
    """The gradients of those of the program's tensors that want one, in their order."""
    for stage in made.stages:
        stage.collect()
    v = made.v_BHSE
    grad_v = room(v) if v.requires_grad else None
    space = Space(v.dtype, v.device)
    further = any(grad is not None for stage in made.stages for grad in stage.grads)
    for place in job.places(made, v.shape[1]):
        grad = place.of_heads(grad_BHTE)[:, place.core]
        weights = _weights(made, place, space, keep=True)
        if grad_v is not None:
            add_product(place.of_heads(grad_v)[:, place.columns], weights[:, place.within].mT, grad)
        if not further:
            continue
        back = space.take("back", place.shape)
        if place.core != place.rows:
            back.zero_()
        product(grad, place.of_heads(v)[:, place.columns].mT, back[:, place.within])
        for stage in reversed(made.stages):
            back = stage.backward(back, place, space)
    grads = [grad for stage in made.stages for grad in stage.grads if grad is not None]
    return grads if grad_v is None else [*grads, grad_v]


def _twice(job: Job, tensors: Sequence[Tensor | None], grad: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Gradients that can be differentiated again, through the dense map."""
    if job.seed is not None:
        raise RuntimeError(
            "kernel 'rows' gives no second derivatives with dropout (once_differentiable); "
            "set dropout=0, or kernel='reference'"
        )
    call = job.call(tensors)
    with torch.enable_grad():
        out = job.spec.mix(call.q_BHTD, call.k_BGSD, call.v_BGSE, call.where, call.params, call.state)
        leaves = [x for x, one in zip(tensors, wanted, strict=True) if one and x is not None]
        found = iter(torch.autograd.grad(out, leaves, grad, create_graph=True, allow_unused=True))
    return [next(found) if one and x is not None else None for x, one in zip(tensors, wanted, strict=True)]
