"""Pairwise: score each pair, say where they stand, who may meet, normalize the row, refine it."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.base import Attention, Claims, where_or_all
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer.base import Normalizer
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.part import Dims, Params, ParamSpec, nested, scoped
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.pattern.full import Full
from attnkit.attention.position.base import Position
from attnkit.attention.position.none import NoPosition
from attnkit.attention.refine.base import Refinement
from attnkit.attention.score.base import Score
from attnkit.attention.score.scaled_dot import ScaledDot
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Pairwise(Attention):
    """A = refine(normalize(score(turn(q), turn(k)) + bias, allowed)).

    The five parts are independent: any score goes with any position, pattern, normalizer and refinements (applied in
    the order given). Parameters carry the part's name first: `score.w_q`, `position.slope`, `refine.0.gate`.

    Cost: the score's, on T x S pairs a head; memory H x T x S.
    """

    score: Score = ScaledDot()
    position: Position = NoPosition()
    pattern: Pattern = Full()
    normalizer: Normalizer = Softmax()
    refine: tuple[Refinement, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("score", Score), ("position", Position), ("pattern", Pattern), ("normalizer", Normalizer)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"Pairwise.{name} must be a {kind.__name__}; got {getattr(self, name)!r}")
        object.__setattr__(self, "refine", tuple(self.refine))
        for part in self.refine:
            if not isinstance(part, Refinement):
                raise ValueError(f"Pairwise.refine must hold Refinements; got {part!r}")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """What each part learns, under the part's name."""
        specs: dict[str, ParamSpec] = {}
        for name, part in self.named_parts():
            specs |= nested(name, part.parameters(dims))
        return specs

    def named_parts(self) -> list[tuple[str, Score | Position | Pattern | Normalizer | Refinement]]:
        """The parts by the name their parameters carry, in the order they act."""
        refine = [(f"refine.{index}", part) for index, part in enumerate(self.refine)]
        return [
            ("score", self.score),
            ("position", self.position),
            ("pattern", self.pattern),
            ("normalizer", self.normalizer),
            *refine,
        ]

    def logits(self, q: Tensor, k: Tensor, where: Where | None = None, params: Params | None = None) -> Tensor:
        """Scores before masking and refinement, scores_BHTS: turned, scored, biased."""
        where = where_or_all(where, q, k)
        position = scoped(params, "position")
        q = self.position.turn(q, where.query_position, position)
        k = self.position.turn(share_heads(k, q.shape[1]), where.key_position, position)
        scores = self.score.scores(q, k, where, scoped(params, "score"))
        bias = self.position.bias(where.i, where.j, position, q.shape[1], scores.dtype)
        return scores if bias is None else scores + bias.to(scores.dtype)

    def allowed(self, where: Where) -> Tensor | None:
        """True where a pair may meet, broadcastable to (B, H, T, S); None where all may."""
        kept = where.kept
        if type(self.pattern) is Full:
            return kept
        allowed = self.pattern.allowed(where.i, where.j, where)
        return allowed if kept is None else allowed & kept

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS."""
        where = where_or_all(where, q, k)
        allowed = self.allowed(where)
        scores = self.logits(q, k, where, params)
        refine = [(part, scoped(params, f"refine.{index}")) for index, part in enumerate(self.refine)]
        for part, own in refine:
            scores = part.on_scores(scores, allowed, where, own, state)
        weights = self.normalizer.weights(scores, allowed, scoped(params, "normalizer"))
        for part, own in refine:
            weights = part.on_weights(weights, allowed, where, own, state)
        return weights

    def claims(self) -> Claims:
        """What the five parts together leave standing."""
        return Claims(
            rows_sum_to_one=self.normalizer.rows_sum_to_one and all(r.keeps_row_sums for r in self.refine),
            nonnegative=self.normalizer.nonnegative and all(r.keeps_sign for r in self.refine),
            causal=self.pattern.causal and all(r.keeps_causal for r in self.refine),
            order_free=isinstance(self.pattern, Full)
            and self.score.order_free
            and isinstance(self.position, NoPosition)
            and all(r.order_free for r in self.refine),
        )

    def refuses_cache(self) -> str | None:
        """The first part that needs more than one query's row and the keys so far."""
        parts: tuple[Pattern | Refinement, ...] = (self.pattern, *self.refine)
        for part in parts:
            reason = part.refuses_cache()
            if reason:
                return reason
        return super().refuses_cache()

    @property
    def needs_state(self) -> bool:
        """True where a refinement reads a lower layer's rows."""
        return any(part.needs_state for part in self.refine)

    @property
    def sees_itself(self) -> bool:
        """True where the pattern lets every token meet itself."""
        return self.pattern.sees_itself
