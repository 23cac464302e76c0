"""Refinements of a slab, in their own words."""

from torch import Tensor

from attnkit.attention.part import Params
from attnkit.attention.refine.base import Refinement
from attnkit.kernels.rows.place import Place
from attnkit.kernels.rows.stage import ByAutograd, Stage


def on_scores(part: Refinement, params: Params, state: Tensor | None) -> list[Stage]:
    """The stage before the normalizer, where there is one."""
    return [] if type(part).on_scores is Refinement.on_scores else [_stage(part.on_scores, params, state)]


def on_weights(part: Refinement, params: Params, state: Tensor | None) -> list[Stage]:
    """The stage after the normalizer, where there is one."""
    return [] if type(part).on_weights is Refinement.on_weights else [_stage(part.on_weights, params, state)]


def _stage(method, params: Params, state: Tensor | None) -> Stage:  # type: ignore[no-untyped-def]
    names = list(params)

    def step(x: Tensor, place: Place, *read: Tensor) -> Tensor:
        own = dict(zip(names, read, strict=False))
        lower = read[-1] if state is not None else None
        return method(x, place.allowed_1HRS, place.where, own, lower)

    def lower_rows(x: Tensor, place: Place) -> Tensor:
        item = 0 if x.shape[0] == 1 else place.item
        return x[item : item + 1, :, place.rows, place.columns]

    tensors, slices = list(params.values()), [None] * len(params)
    if state is None:
        return ByAutograd(step, tensors, slices)
    return ByAutograd(step, [*tensors, state], [*slices, lower_rows])
