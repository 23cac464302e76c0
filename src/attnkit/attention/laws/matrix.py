"""Laws of the map: it is linear on the values, it is what the operator says, and it is what was claimed."""

from collections.abc import Callable

import torch
from torch import Tensor

from attnkit.attention.heads import share_heads
from attnkit.attention.laws.draws import Case, some_kept
from attnkit.attention.laws.report import Broken, NotApplicable
from attnkit.attention.laws.trial import TOLERANCE, Trial, difference, same
from attnkit.attention.pairwise import Pairwise


def linear_in_values(trial: Trial) -> str | None:
    """mix(q, k, v) == matrix(q, k) @ v; for anyone else's, mix(a u + b v) == a mix(u) + b mix(v)."""
    subject = trial.subject

    def ours(case: Case) -> None:
        case = case.keeping(some_kept(trial.generator, 2, case.where.S))
        expected = subject.matrix(case.q, case.k, case.where) @ share_heads(case.v, case.q.shape[1])
        same(trial.mixed(case), expected, "mix differs from matrix @ v", case)

    def theirs(case: Case) -> None:
        other = torch.randn(case.v.shape, generator=trial.generator, dtype=case.v.dtype)
        both = subject.call(case.q, case.k, 2.0 * case.v - 3.0 * other, case.where)
        apart = 2.0 * trial.mixed(case) - 3.0 * subject.call(case.q, case.k, other, case.where)
        same(both, apart, "mix(2 u - 3 v) differs from 2 mix(u) - 3 mix(v)", case)

    trial.each(theirs if subject.spec is None else ours)
    return None


def identity_reads_out(trial: Trial) -> str | None:
    """With identity values the result is the matrix itself; for anyone else's, that matrix gives every other result."""
    subject = trial.subject

    def check(case: Case) -> None:
        if subject.spec is None:
            matrix = subject.read_out(case.q, case.k, case.where)
            same(matrix @ case.v, trial.mixed(case), "the matrix read out with v = I does not give the result", case)
            return
        matrix = subject.matrix(case.q, case.k, case.where)
        shape = (*case.q.shape[:3], case.where.S)
        if tuple(matrix.shape) != shape:
            raise Broken(f"matrix has shape {tuple(matrix.shape)} where (B, H, T, S) is {shape}")
        same(subject.read_out(case.q, case.k, case.where), matrix, "mix with v = I is not the matrix", case)

    trial.each(check)
    return None


def shares_heads(trial: Trial) -> str | None:
    """One key/value head for all equals the same head given to each."""
    if trial.subject.spec is None:
        raise NotApplicable("asked of our own operators")
    H = trial.subject.dims.heads

    def check(case: Case) -> None:
        one = trial.case((case.where.T, case.where.S), groups=1)
        apart = Case(one.q, share_heads(one.k, H), share_heads(one.v, H), one.where)
        same(trial.mixed(one), trial.mixed(apart), "one key/value head differs from the same head repeated", one)

    trial.each(check)
    return None


def rows_sum_to_one(trial: Trial) -> str | None:
    """Each row that sees something sums to one."""

    def excess(trial: Trial, case: Case) -> float:
        matrix, seen = _matrix_and_seen(trial, case)
        return float((matrix.sum(-1) - seen.to(matrix.dtype)).abs().max())

    return _claim(trial, "rows_sum_to_one", excess, "a row is off one by", masked=True)


def nonnegative(trial: Trial) -> str | None:
    """No weight is below zero."""

    def excess(trial: Trial, case: Case) -> float:
        return float(-trial.subject.matrix(case.q, case.k, case.where).min())

    return _claim(trial, "nonnegative", excess, "a weight is below zero by", masked=True)


def order_free(trial: Trial) -> str | None:
    """Shuffling the keys with their values and their mask changes nothing."""

    def excess(trial: Trial, case: Case) -> float:
        order = torch.randperm(case.where.S, generator=trial.generator)
        keep = case.where.keep
        shuffled = Case(case.q, case.k[..., order, :], case.v[..., order, :], case.where)
        if keep is not None:
            shuffled = shuffled.keeping(keep[:, order])
        return difference(trial.mixed(shuffled), trial.mixed(case))

    return _claim(trial, "order_free", excess, "shuffled keys move the result by", masked=True)


def causal(trial: Trial) -> str | None:
    """No weight on a key after the query; with T != S the last query stands at the last key."""

    def excess(trial: Trial, case: Case) -> float:
        matrix = trial.subject.matrix(case.q, case.k, case.where)
        return float(matrix.masked_fill(case.where.j <= case.where.i, 0.0).abs().max())

    return _claim(trial, "causal", excess, "a query weighs a later key (bottom-right aligned) by", masked=False)


def _claim(trial: Trial, claim: str, excess: Callable[[Trial, Case], float], what: str, *, masked: bool) -> str | None:
    said = getattr(trial.subject.facts, claim)
    if said is None:
        raise NotApplicable("nothing is claimed")
    if said:

        def check(case: Case) -> None:
            cases = [case, case.keeping(some_kept(trial.generator, 2, case.where.S))] if masked else [case]
            for one in cases:
                size = excess(trial, one)
                if not size <= TOLERANCE:
                    raise Broken(f"{what} {size:.2g} at {one.size}")

        trial.each(check)
        return "claimed"
    # What fails may fail for some parameters alone, so each try has its own.
    for size in trial.witnesses * 3:
        other = trial.redrawn()
        if excess(other, other.case(size)) > TOLERANCE:
            return f"not claimed, and seen to fail at T={size[0]}, S={size[1]}"
    T, S = trial.witnesses[-1]
    raise Broken(f"is not claimed and yet held at every size up to T={T}, S={S}: claim it")


def _matrix_and_seen(trial: Trial, case: Case) -> tuple[Tensor, Tensor]:
    """The map, and which rows must carry weight: what the pattern lets see, or, where none is known, what does."""
    matrix = trial.subject.matrix(case.q, case.k, case.where)
    spec = trial.subject.spec
    if not isinstance(spec, Pairwise):
        return matrix, (matrix != 0).any(-1)
    allowed = spec.allowed(case.where)
    seen = torch.ones_like(matrix, dtype=torch.bool) if allowed is None else allowed.expand_as(matrix)
    return matrix, seen.any(-1)
