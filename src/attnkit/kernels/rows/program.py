"""Program: an operator as stages from queries and keys to weights, and the values that they weigh."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnkit.attention.heads import share_heads
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.position.base import Position
from attnkit.attention.score import Additive, SoftCap
from attnkit.attention.score.base import Score
from attnkit.kernels.kernel import Call
from attnkit.kernels.products import ignores_shifts, products, turned
from attnkit.kernels.rows.additive import additive_score
from attnkit.kernels.rows.bias import DistanceStage, any_bias
from attnkit.kernels.rows.dropout_stage import Dropped
from attnkit.kernels.rows.normalizer import normalize
from attnkit.kernels.rows.refine import on_scores, on_weights
from attnkit.kernels.rows.score import Cap, ProductScore, any_score
from attnkit.kernels.rows.stage import Stage
from attnkit.kernels.toeplitz import bias_by_distance


@dataclass(frozen=True, eq=False)
class Program:
    """`stages` make A_HRS of a slab; out = A v. Everything stands in float32 at least."""

    stages: list[Stage]
    v_BHSE: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All that the stages read, and the values."""
        return [*(tensor for stage in self.stages for tensor in stage.tensors), self.v_BHSE]

    @property
    def whole_heads(self) -> bool:
        """True where a stage wants all heads at once."""
        return any(stage.whole_heads for stage in self.stages)


def program(spec: Pairwise, call: Call, seed: int | None, reverse: bool, exact_scores: bool = False) -> Program:
    """The stages of an operator on these tensors; differentiable preparations are recorded by autograd.

    With `reverse` the queries stand last one first, as the bias of a distance wants them. With `exact_scores` no
    constant is left out of a row of scores, also where the normalizer would not see it.
    """
    heads = call.q_BHTD.shape[1]
    wide = torch.promote_types(call.q_BHTD.dtype, torch.float32)
    where, params = call.where, {name: value.to(wide) for name, value in call.params.items()}
    q, k = turned(spec, call.q_BHTD.to(wide), share_heads(call.k_BGSD.to(wide), heads), where, params)
    if reverse:
        q, call = q.flip(2), replace(call, where=where.reversed())
    stages = _scores(spec.score, q, k, call, params, ignores_shifts(spec.normalizer) and not exact_scores)
    stages += _bias(spec.position, call, params, wide, reverse)
    refine = [(part, scoped(params, f"refine.{index}")) for index, part in enumerate(spec.refine)]
    state = None if call.state is None else call.state.to(wide)
    for part, own in refine:
        stages += on_scores(part, own, state)
    stages.append(normalize(spec.normalizer, scoped(params, "normalizer")))
    for part, own in refine:
        stages += on_weights(part, own, state)
    if seed is not None:
        stages.append(Dropped(seed, call.dropout, heads))
    return Program(stages, share_heads(call.v_BGSE, heads).to(wide))


def fresh_seed(generator: torch.Generator | None) -> int:
    """A seed for the dropout of one call, from the generator, or from torch's own."""
    return int(torch.randint(0, 2**31 - 1, (), generator=generator, device=device_of(generator)))


def device_of(generator: torch.Generator | None) -> torch.device | None:
    """Where a generator draws; None for torch's own on the CPU."""
    return None if generator is None else generator.device


def _scores(score: Score, q: Tensor, k: Tensor, call: Call, params: dict[str, Tensor], shift_free: bool) -> list[Stage]:
    own = scoped(params, "score")
    caps: list[Stage] = []
    while type(score) is SoftCap:
        caps.insert(0, Cap(score.cap))
        # A shift before the cap is no shift behind it.
        score, own, shift_free = score.score, scoped(own, "score"), False
    found = products(score, q, k, call.where, own, shift_free)
    if found is not None:
        return [ProductScore(found.q_BHTD, found.k_BHSD, found.scale), *caps]
    if type(score) is Additive:
        return [additive_score(q, k, own), *caps]
    return [any_score(score, q, k, own), *caps]


def _bias(position: Position, call: Call, params: dict[str, Tensor], dtype: torch.dtype, reverse: bool) -> list[Stage]:
    if type(position).bias is Position.bias:
        return []
    own, heads = scoped(params, "position"), call.q_BHTD.shape[1]
    if reverse:
        T, S = call.where.T, call.where.S
        return [DistanceStage(bias_by_distance(position, own, heads, T, S, dtype, call.q_BHTD.device))]
    return [any_bias(position, heads, own)]
