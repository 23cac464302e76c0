"""Laws of the numbers: gradients, rounding, dropout."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

from attnkit.attention.laws.draws import Case, some_kept
from attnkit.attention.laws.report import Broken, NotApplicable
from attnkit.attention.laws.subject import Subject
from attnkit.attention.laws.trial import Trial
from attnkit.attention.where import Where

SMALL = ((2, 3), (3, 3))
Dropped = Callable[[Tensor, Tensor, Tensor, Where, float, torch.Generator], Tensor]


def gradients(trial: Trial) -> str | None:
    """Gradients of q, k, v and every parameter equal finite differences in float64, masked keys and all."""
    _checked(trial, gradcheck, "the gradient")
    return None


def double_backward(trial: Trial) -> str | None:
    """Second derivatives equal finite differences, or are refused with a clear error; never silently wrong."""
    try:
        _checked(trial, gradgradcheck, "the second derivative")
    except RuntimeError as error:
        if any(word in str(error) for word in ("once_differentiable", "not implemented", "twice", "double backward")):
            return f"refused: {str(error).splitlines()[0][:120]}"
        raise
    return None


def _checked(trial: Trial, checker: Callable[..., bool], what: str) -> None:
    subject = trial.subject

    def check(case: Case) -> None:
        keep = some_kept(trial.generator, 2, case.where.S)
        keep[1] = False
        where = case.keeping(keep).where
        names = [name for name, value in subject.params.items() if value.is_floating_point()]
        leaves = [case.q, case.k, case.v, *(subject.params[name] for name in names)]

        def run(q: Tensor, k: Tensor, v: Tensor, *params: Tensor) -> Tensor:
            return subject.call(q, k, v, where, subject.params | dict(zip(names, params, strict=True)))

        try:
            with own_random_state():
                checker(run, [leaf.clone().requires_grad_() for leaf in leaves], fast_mode=True, atol=1e-5, rtol=1e-3)
        except GradcheckError as error:
            raise Broken(f"{what} differs from finite differences at {case.size}: {mismatch(error)}") from None

    trial.each(check, sizes=SMALL)


@contextmanager
def own_random_state() -> Iterator[None]:
    """torch's gradcheck draws from the default generator: it draws the same each time, and the user's is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def mismatch(error: GradcheckError) -> str:
    """The two numbers that differ, without the advice that follows them."""
    return " ".join(str(error).split()).partition(" The above")[0][:160]


def precision(dtype: torch.dtype) -> Callable[[Trial], str | None]:
    """The law that `dtype` errs at most twice as much as a plain reference in the same precision."""
    step = torch.finfo(dtype).eps

    def law(trial: Trial) -> str | None:
        worst = 0.0

        def check(case: Case) -> None:
            nonlocal worst
            case = case.keeping(some_kept(trial.generator, 2, case.where.S))
            low = _rounded(case, dtype)
            exact = _rounded(low, torch.float64)
            rounded = trial.subject.at(dtype)
            truly = rounded.at(torch.float64)
            truth = _mixed(truly, exact)
            got = _mixed(rounded, low)
            if got.dtype != dtype:
                raise Broken(f"gave {got.dtype} from {dtype} inputs")
            size = max(_size(truth), step * _size(exact.v))
            error = _size(got.double() - truth) / size
            plain = _size(_textbook(low).double() - _textbook(exact)) / _size(_textbook(exact))
            allowed = 2.0 * (plain + _size(_shaken(truly, exact, step, trial.generator) - truth) / size)
            # Where a single key leaves the reference without error, a few roundings are still no fault.
            allowed += 4.0 * step
            if not error <= allowed:
                raise Broken(
                    f"errs by {error:.2g} (relative, root mean square) where twice a plain reference is {allowed:.2g}, "
                    f"at {case.size}"
                )
            worst = max(worst, error / allowed)

        trial.each(check)
        return f"at most {worst:.2f} of the budget"

    return law


def _textbook(case: Case) -> Tensor:
    scores = case.q @ case.k.transpose(-1, -2) * case.q.shape[-1] ** -0.5
    if case.where.keep is not None:
        scores = scores.masked_fill(~case.where.keep[:, None, None, :], float("-inf"))
    return torch.softmax(scores, dim=-1) @ case.v


def _shaken(subject: Subject, exact: Case, step: float, generator: torch.Generator) -> Tensor:
    """The exact result with each input off by up to half a step of the precision: no algorithm can do better."""

    def shaken(x: Tensor) -> Tensor:
        return x * (1.0 + step * (torch.rand(x.shape, generator=generator, dtype=x.dtype) - 0.5))

    params = {name: shaken(x) if x.is_floating_point() else x for name, x in subject.params.items()}
    return subject.call(shaken(exact.q), shaken(exact.k), shaken(exact.v), exact.where, params).detach()


def _mixed(subject: Subject, case: Case) -> Tensor:
    return subject.call(case.q, case.k, case.v, case.where).detach()


def _rounded(case: Case, dtype: torch.dtype) -> Case:
    return Case(case.q.to(dtype), case.k.to(dtype), case.v.to(dtype), case.where)


def _size(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def dropout_is_unbiased(trial: Trial, dropped: Dropped | None, draws: int = 400) -> str | None:
    """The mean over many dropped results is the result without dropout, within five standard errors."""
    if dropped is None:
        raise NotApplicable("no call with dropout was given")
    case = trial.case((3, 5), batch=1)
    whole = trial.mixed(case)
    same_draw = dropped(case.q, case.k, case.v, case.where, 0.0, trial.generator)
    if float((same_draw - whole).abs().max()) > 1e-6:
        raise Broken("dropout of 0 changes the result")
    rate = 0.4
    results = torch.stack([dropped(case.q, case.k, case.v, case.where, rate, trial.generator) for _ in range(draws)])
    spread = results.std(0)
    if float(spread.max()) == 0.0:
        raise Broken(f"dropout of {rate} drops nothing")
    far = ((results.mean(0) - whole).abs() / (spread / draws**0.5).clamp_min(1e-12)).max()
    if float(far) > 5.0:
        raise Broken(f"the mean of {draws} dropped results is {float(far):.1f} standard errors from the undropped one")
    return f"within {float(far):.1f} standard errors over {draws} draws"
