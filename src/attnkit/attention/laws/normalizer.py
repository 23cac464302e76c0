"""check_normalizer: the laws of a row of weights, run on anyone's normalizer."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

from attnkit.attention.laws.numbers import mismatch, own_random_state
from attnkit.attention.laws.report import Broken, NotApplicable, Report, judge
from attnkit.attention.laws.subject import random_params
from attnkit.attention.normalizer.base import Normalizer
from attnkit.attention.part import Dims

Adapter = Callable[[Any, Tensor, Tensor | None], Tensor]
SIZES = (1, 2, 5, 8, 33)
TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class _Trial:
    fn: Any
    adapter: Adapter
    params: dict[str, Tensor]
    generator: torch.Generator
    rows_sum_to_one: bool
    nonnegative: bool
    shift_invariant: bool

    def weights(self, scores: Tensor, allowed: Tensor | None = None, params: dict[str, Tensor] | None = None) -> Tensor:
        if isinstance(self.fn, Normalizer):
            used = self.params if params is None else params
            out = self.fn.weights(scores, allowed, {name: x.to(scores.dtype) for name, x in used.items()})
        else:
            out = self.adapter(self.fn, scores, allowed)
        if out.shape != scores.shape:
            raise Broken(f"gave shape {tuple(out.shape)} for scores of shape {tuple(scores.shape)}")
        return out

    def scores(self, keys: int, batch: int = 2) -> Tensor:
        return 2.0 * torch.randn(batch, 2, 3, keys, generator=self.generator, dtype=torch.float64)

    def some_allowed(self, keys: int) -> Tensor:
        allowed = torch.rand(2, 1, 3, keys, generator=self.generator) < 0.6
        return allowed | (torch.arange(keys) == torch.randint(0, keys, (2, 1, 3, 1), generator=self.generator))

    def drawn(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.scores(n), allowed) for n in SIZES for allowed in (None, self.some_allowed(n))]

    def with_alpha(self, alpha: float) -> "_Trial":
        if isinstance(self.fn, Normalizer):
            if all(field.name != "alpha" for field in dataclasses.fields(self.fn)):
                raise NotApplicable("it has no alpha")
            return replace(self, fn=replace(self.fn, alpha=alpha))  # type: ignore[call-arg]
        if "alpha" not in _parameters(self.fn):
            raise NotApplicable("it has no alpha")
        return replace(self, fn=partial(self.fn, alpha=alpha))


def _rows_sum_to_one(trial: _Trial) -> str | None:
    if not trial.rows_sum_to_one:
        raise NotApplicable("not claimed")
    for scores, allowed in trial.drawn():
        _near(
            trial.weights(scores, allowed).sum(-1),
            torch.ones(()),
            f"rows of {scores.shape[-1]} scores do not sum to one",
        )
    return None


def _nonnegative(trial: _Trial) -> str | None:
    if not trial.nonnegative:
        raise NotApplicable("not claimed")
    for scores, allowed in trial.drawn():
        lowest = float(trial.weights(scores, allowed).min())
        if lowest < 0:
            raise Broken(f"a weight is {lowest:.2g}")
    return None


def _masked_are_zero(trial: _Trial) -> str | None:
    for scores, allowed in trial.drawn():
        if allowed is not None and (trial.weights(scores, allowed).masked_fill(allowed, 0.0) != 0).any():
            raise Broken("a masked score is given weight")
    return None


def _masked_are_inert(trial: _Trial) -> str | None:
    for scores, allowed in trial.drawn():
        if allowed is not None:
            other = torch.where(allowed, scores, 1e4 * torch.randn(scores.shape, generator=trial.generator).double())
            _near(trial.weights(other, allowed), trial.weights(scores, allowed), "a masked score changes the row")
    return None


def _empty_row(trial: _Trial) -> str | None:
    for keys in SIZES:
        allowed = trial.some_allowed(keys)
        allowed[0, :, 1] = False
        scores = trial.scores(keys).requires_grad_()
        weights = trial.weights(scores, allowed)
        row = weights[0, :, 1].detach()
        if not torch.isfinite(row).all():
            raise Broken("a row in which all is masked gives NaN")
        if (row != 0).any():
            raise Broken(f"a row in which all is masked gives weights that sum to {float(row.sum(-1).max()):.2g}")
        (grad,) = torch.autograd.grad((weights * trial.scores(keys)).sum(), scores)
        if not torch.isfinite(grad).all():
            raise Broken("the gradient beside a row in which all is masked is NaN")
        if (grad[0, :, 1] != 0).any():
            raise Broken("the gradient of a row in which all is masked is not zero")
    return None


def _one_visible(trial: _Trial) -> str | None:
    if not trial.rows_sum_to_one:
        raise NotApplicable("rows are not claimed to sum to one")
    scores = trial.scores(5)
    allowed = (torch.arange(5) == 3).expand(2, 1, 3, 5)
    _near(trial.weights(scores, allowed), allowed.double(), "the only visible key does not get the whole weight")
    return None


def _order_inert(trial: _Trial) -> str | None:
    for scores, allowed in trial.drawn():
        order = torch.randperm(scores.shape[-1], generator=trial.generator)
        shuffled = trial.weights(scores[..., order], None if allowed is None else allowed[..., order])
        _near(shuffled, trial.weights(scores, allowed)[..., order], "shuffled scores give other weights")
    return None


def _ties(trial: _Trial) -> str | None:
    """Equal scores get equal weights, unless one of the two is left out altogether: then a choice was made."""
    scores = trial.scores(6)
    scores[..., 4] = scores[..., 1]
    weights = trial.weights(scores)
    flat = trial.weights(torch.zeros(2, 2, 3, 6, dtype=torch.float64))
    cut = False
    for what, one, other in (
        ("equal scores get unequal weights", weights[..., 4], weights[..., 1]),
        ("a row of equal scores gets unequal weights", flat, flat[..., :1]),
    ):
        left_out = (one == 0) ^ (other == 0)
        cut = cut or bool(left_out.any())
        _near(one.masked_fill(left_out, 0.0), other.masked_fill(left_out, 0.0), what)
    return "ties at its cut are broken" if cut else None


def _shift(trial: _Trial) -> str | None:
    if not trial.shift_invariant:
        raise NotApplicable("not claimed")
    for scores, allowed in trial.drawn():
        for shift in (-7.5, 30.0):
            _near(
                trial.weights(scores + shift, allowed),
                trial.weights(scores, allowed),
                f"adding {shift} moves the weights",
            )
    return None


def _monotone(trial: _Trial) -> str | None:
    for scores, allowed in trial.drawn():
        if allowed is None:
            steps = trial.weights(scores).gather(-1, scores.argsort(-1)).diff(dim=-1)
            if steps.numel() and float(steps.min()) < -TOLERANCE:
                raise Broken("a larger score gets a smaller weight")
    return None


def _extreme(trial: _Trial) -> str | None:
    for size in (1e2, 1e4, 1e30):
        for dtype in (torch.float64, torch.float32):
            weights = trial.weights((size * trial.scores(8)).to(dtype), trial.some_allowed(8))
            at = f"with scores near {size:.0e} in {dtype}"
            if not torch.isfinite(weights).all():
                raise Broken(f"{at} a weight is NaN or infinite")
            if trial.rows_sum_to_one:
                _near(weights.sum(-1), torch.ones(()), f"{at} rows do not sum to one", 1e-5)
    return None


def _gradients(trial: _Trial) -> str | None:
    _checked(trial, gradcheck, "the gradient")
    return None


def _double_backward(trial: _Trial) -> str | None:
    _checked(trial, gradgradcheck, "the second derivative")
    return None


def _checked(trial: _Trial, checker: Callable[..., bool], what: str) -> None:
    for keys in (1, 4, 7):
        scores, allowed, names = trial.scores(keys), trial.some_allowed(keys), list(trial.params)

        def run(scores: Tensor, *params: Tensor, allowed: Tensor = allowed, names: list[str] = names) -> Tensor:
            return trial.weights(scores, allowed, dict(zip(names, params, strict=True)))

        leaves = [leaf.clone().requires_grad_() for leaf in (scores, *trial.params.values())]
        try:
            with own_random_state():
                # One random projection, as the fast mode takes, misses a wrong second derivative now and then.
                checker(run, leaves, fast_mode=False, atol=1e-5, rtol=1e-3)
        except GradcheckError as error:
            raise Broken(f"{what} differs from finite differences: {mismatch(error)}") from None


def _alpha_one(trial: _Trial) -> str | None:
    at = trial.with_alpha(1.0)
    for scores, allowed in trial.drawn():
        expected = torch.softmax(_hidden(scores, allowed), dim=-1)
        _near(at.weights(scores, allowed), expected, "alpha = 1 is not softmax", 1e-5)
    return None


def _alpha_two(trial: _Trial) -> str | None:
    at = trial.with_alpha(2.0)
    for scores, allowed in trial.drawn():
        _near(at.weights(scores, allowed), _sparsemax(_hidden(scores, allowed)), "alpha = 2 is not sparsemax", 1e-5)
    return None


def _sparsemax(scores: Tensor) -> Tensor:
    """Martins and Astudillo (2016), algorithm 1, by sorting; masked scores are minus infinity."""
    falling = scores.sort(dim=-1, descending=True).values
    count = torch.arange(1, scores.shape[-1] + 1)
    total = falling.masked_fill(falling.isinf(), 0.0).cumsum(-1) - 1.0
    support = (count * falling > total).sum(-1, keepdim=True)
    return (scores - total.gather(-1, support - 1) / support).clamp_min(0.0)


def _hidden(scores: Tensor, allowed: Tensor | None) -> Tensor:
    return scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))


def _near(got: Tensor, expected: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    if not torch.isfinite(got).all():
        raise Broken(f"{what}: a weight is NaN or infinite")
    gap = float((got - expected).abs().max())
    if gap > tolerance:
        raise Broken(f"{what}: off by {gap:.2g}")


NORMALIZER_LAWS: dict[str, Callable[[_Trial], str | None]] = {
    "rows sum to one": _rows_sum_to_one,
    "weights are not negative": _nonnegative,
    "masked scores get nothing": _masked_are_zero,
    "masked scores are inert": _masked_are_inert,
    "an all-masked row is zero": _empty_row,
    "one visible key gets all": _one_visible,
    "shuffled scores give shuffled weights": _order_inert,
    "ties are equal": _ties,
    "a shift changes nothing": _shift,
    "larger scores get no less": _monotone,
    "extreme scores are survived": _extreme,
    "gradients": _gradients,
    "double backward": _double_backward,
    "alpha = 1 is softmax": _alpha_one,
    "alpha = 2 is sparsemax": _alpha_two,
}


def check_normalizer(
    fn: Any,
    call: Adapter | None = None,
    *,
    rows_sum_to_one: bool | None = None,
    nonnegative: bool | None = None,
    shift_invariant: bool | None = None,
    params: Mapping[str, Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Report:
    """Hold a normalizer to the laws of a row of weights, and say of each whether it passed, failed or does not apply.

    `fn` is one of our normalizers, a function of (scores_BHTS, allowed) where its second parameter is called `allowed`,
    or any function of scores_BHTS alone, in which a masked score is then minus infinity; an adapter `call(fn,
    scores_BHTS, allowed_BHTS or None) -> weights_BHTS` serves one that takes its mask otherwise. What is not
    said is what ours says of itself, or, for anyone's, that rows sum to one, are not negative and do not feel a shift.
    Where `fn` takes `alpha`, its end points are held to softmax and sparsemax.

    Raises: ValueError where `fn` is neither one of our normalizers nor callable.
    """
    if not (isinstance(fn, Normalizer) or callable(fn)):
        raise ValueError(f"check_normalizer takes a normalizer or a function; got {type(fn).__name__}")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    ours = isinstance(fn, Normalizer)
    sums = (fn.rows_sum_to_one if ours else True) if rows_sum_to_one is None else rows_sum_to_one
    positive = (fn.nonnegative if ours else True) if nonnegative is None else nonnegative
    shifts = sums if shift_invariant is None else shift_invariant
    drawn = random_params(fn, Dims(2, 4, 4), generator) if ours and params is None else dict(params or {})
    trial = _Trial(fn, call or _by_name, drawn, generator, sums, positive, shifts)
    name = getattr(fn, "__name__", type(fn).__name__)
    return judge(name, [(law, partial(run, trial)) for law, run in NORMALIZER_LAWS.items()])


def _by_name(fn: Any, scores: Tensor, allowed: Tensor | None) -> Tensor:
    return fn(scores, allowed) if "allowed" in _parameters(fn) else fn(_hidden(scores, allowed))


def _parameters(fn: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(fn).parameters)
    except (TypeError, ValueError):  # written in C
        return ()
