"""An operator as another library's model asks for it: its mask, scale, soft cap, sinks and bias put into the parts."""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import CausalLinear, Linear, Nystrom
from attnkit.attention.normalizer import Sink, Softmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, Params, ParamSpec, needed, nested, scoped
from attnkit.attention.pattern import Both, Causal, Full, Window
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position.base import Position
from attnkit.attention.position.none import NoPosition
from attnkit.attention.score import ScaledDot, SoftCap
from attnkit.attention.score.base import Score


@dataclass(frozen=True, eq=False)
class Wishes:
    """What a model's call asks of the operator beside its mask; None where it asks nothing.

    `scaling` multiplies q . k, `softcap` bounds the scores, `sinks` (H,) are logits without a value, `bias`
    (B or 1, H, T, S) is added to the scores, with `origin` (2,), the positions of its first query and first key.
    """

    scaling: float | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    bias: Tensor | None = None
    origin: Tensor | None = None

    def named(self) -> list[str]:
        """The wishes that are there."""
        return [name for name in ("scaling", "softcap", "sinks", "bias") if getattr(self, name) is not None]


@dataclass(frozen=True)
class GivenBias(Position):
    """bias_bhts = `bias` (B or 1, H, T, S) as it is handed in for this call, on top of another position.

    `origin` (2,) holds the positions of its first query and first key, so that a kernel may ask for some pairs only.

    Raises: KeyError where the call hands no `bias` in.
    Cost: that of `own`, and T x S additions a head.
    """

    own: Position = NoPosition()

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """What `own` learns, under `own`; the bias belongs to the model."""
        return nested("own", self.own.parameters(dims))

    def turn(self, x_BHLD: Tensor, position_BL: Tensor, params: Params) -> Tensor:
        """As `own` does."""
        return self.own.turn(x_BHLD, position_BL, scoped(params, "own"))

    def bias(self, i: Tensor, j: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """(B or 1, H, T, S), of the pairs asked for."""
        given, origin = needed(params, "bias", self), needed(params, "origin", self)
        if (i.shape[2], j.shape[3]) != given.shape[2:]:
            # Probes hand every parameter in as a float, and floats are no indices.
            given = given[:, :, (i - origin[0])[0, 0].long(), (j - origin[1])[0, 0].long()]
        own = self.own.bias(i, j, scoped(params, "own"), heads, dtype)
        return given.to(dtype) if own is None else given.to(dtype) + own


def within(spec: Attention, pattern: Pattern) -> Attention:
    """`spec` on the pairs of a model's `pattern` alone.

    Raises: ValueError where the operator cannot keep to those pairs.
    """
    if type(pattern) is Full:
        return spec
    kept = _within(spec, pattern)
    if pattern.causal and not kept.claims().causal:
        raise ValueError(f"{spec} lets later tokens into a row, which this model's causal mask forbids")
    return kept


def _within(spec: Attention, pattern: Pattern) -> Attention:
    if isinstance(spec, Pairwise):
        own = spec.pattern
        return dataclasses.replace(spec, pattern=pattern if type(own) is Full or own == pattern else own & pattern)
    if isinstance(spec, Sum | Mixture):
        return dataclasses.replace(spec, of=tuple(_within(part, pattern) for part in spec.of))
    if isinstance(spec, Then) and not _has(pattern, Window):
        return dataclasses.replace(spec, second=_within(spec.second, pattern), first=_within(spec.first, pattern))
    if isinstance(spec, Then):
        raise ValueError(f"{spec} looks twice, and so past this model's window; take an operator that looks once")
    if type(pattern) is Causal and spec.claims().causal:
        return spec
    raise ValueError(f"{spec} cannot keep to this model's mask, {pattern}; take an operator made of pairs")


def _has(pattern: Pattern, kind: type[Pattern]) -> bool:
    if isinstance(pattern, Both):
        return _has(pattern.first, kind) or _has(pattern.second, kind)
    return isinstance(pattern, kind)


def reads_other_queries(spec: Attention) -> bool:
    """True where a row depends on other queries, so that queries which are padding must be known too."""
    if isinstance(spec, Sum | Mixture):
        return any(reads_other_queries(part) for part in spec.of)
    if isinstance(spec, Then):
        return reads_other_queries(spec.second)
    if isinstance(spec, Pairwise):
        return any(part.refuses_cache() for part in spec.refine)
    return isinstance(spec, Nystrom)


def asked(spec: Attention, params: Params, wishes: Wishes, width: int) -> tuple[Attention, Params]:
    """`spec` with the model's wishes in its parts, and its parameters under the names they now carry.

    The model's scaling takes the place of 1 / sqrt(D) in a scaled dot product; every other score says its own scale.
    The soft cap goes around the score, the sinks into the softmax, the bias on top of the position.

    Raises: ValueError where a wish has no place in the operator.
    """
    if wishes.scaling is not None and math.isclose(wishes.scaling, 1.0 / math.sqrt(width), rel_tol=1e-9):
        wishes = dataclasses.replace(wishes, scaling=None)
    if not wishes.named() or (isinstance(spec, Linear | CausalLinear) and wishes.named() == ["scaling"]):
        return spec, params
    if isinstance(spec, Sum | Mixture):
        parts = [asked(part, scoped(params, str(index)), wishes, width) for index, part in enumerate(spec.of)]
        named: dict[str, Tensor] = {f"gate.{name}": value for name, value in scoped(params, "gate").items()}
        for index, (_, own) in enumerate(parts):
            named |= _under(str(index), own)
        return dataclasses.replace(spec, of=tuple(part for part, _ in parts)), named
    if isinstance(spec, Then) and wishes.bias is None:
        first, of_first = asked(spec.first, scoped(params, "first"), wishes, width)
        second, of_second = asked(spec.second, scoped(params, "second"), wishes, width)
        return Then(second, first), _under("first", of_first) | _under("second", of_second)
    if not isinstance(spec, Pairwise):
        raise ValueError(f"{spec} has no place for the {' and the '.join(wishes.named())} that this model asks for")
    return _pairwise(spec, dict(params), wishes)


def _pairwise(spec: Pairwise, params: dict[str, Tensor], wishes: Wishes) -> tuple[Pairwise, Params]:
    score, position, normalizer = _scaled(spec.score, wishes.scaling), spec.position, spec.normalizer
    if wishes.softcap is not None and not (isinstance(score, SoftCap) and score.cap == wishes.softcap):
        if isinstance(score, SoftCap):
            raise ValueError(f"this model caps its scores at {wishes.softcap}, and {score} at another number")
        score, params = SoftCap(score, wishes.softcap), _renamed(params, "score", "score.score")
    if wishes.sinks is not None:
        if type(normalizer) not in (Softmax, Sink) or (isinstance(normalizer, Sink) and normalizer.logit is not None):
            raise ValueError(f"this model puts its sinks into a softmax, and {normalizer} has no place for them")
        normalizer, params["normalizer.logit"] = Sink(None), wishes.sinks
    if wishes.bias is not None:
        position, params = GivenBias(position), _renamed(params, "position", "position.own")
        assert wishes.origin is not None
        params |= {"position.bias": wishes.bias, "position.origin": wishes.origin}
    return dataclasses.replace(spec, score=score, position=position, normalizer=normalizer), params


def _scaled(score: Score, scaling: float | None) -> Score:
    if scaling is not None and isinstance(score, SoftCap):
        return dataclasses.replace(score, score=_scaled(score.score, scaling))
    return ScaledDot(scaling) if scaling is not None and score == ScaledDot() else score


def _under(prefix: str, params: Params) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in params.items()}


def _renamed(params: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    start = old + "."
    return {new + name[len(old) :] if name.startswith(start) else name: value for name, value in params.items()}
