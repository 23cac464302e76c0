"""Laws of who may meet whom: the future, padding, rows that see nothing, batch mates, windows, one step at a time."""

from dataclasses import replace

import torch
from torch import Tensor

from attnkit.attention.laws.draws import Case, some_kept
from attnkit.attention.laws.report import Broken, NotApplicable
from attnkit.attention.laws.trial import Trial, same
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where

PADDING = 3


def future_is_inert(trial: Trial) -> str | None:
    """Anything put at later positions leaves earlier rows alone, and a query still sees the key at its own position."""
    if not trial.subject.facts.causal:
        raise NotApplicable("not claimed to be causal")

    def check(case: Case) -> None:
        T, S = case.where.T, case.where.S
        cut = int(torch.randint(0, S, (), generator=trial.generator))
        earlier = max(0, T - S + cut)
        q, k, v = case.q.clone(), case.k.clone(), case.v.clone()
        for x, start in ((q, earlier), (k, cut), (v, cut)):
            x[..., start:, :] = trial.junk(x[..., start:, :])
        before = trial.mixed(case)[..., :earlier, :]
        after = trial.mixed(Case(q, k, v, case.where))[..., :earlier, :]
        same(after, before, f"what stands from position {cut} on changes earlier rows", case)

    def own_key(case: Case) -> None:
        seen = (trial.subject.matrix(case.q, case.k, case.where) != 0).flatten(0, 1).any(0)
        mine = (case.where.i == case.where.j)[0, 0]
        spec = trial.subject.spec
        if isinstance(spec, Pairwise):
            mine = mine & spec.pattern.allowed(case.where.i, case.where.j, case.where).flatten(0, 1).any(0)
        if (mine & ~seen).any():
            raise Broken(
                f"a query does not see the key at its own position at {case.size}: "
                "causal is aligned bottom-right, the last query stands at the last key"
            )

    trial.each(check)
    trial.each(own_key, batch=8)
    return None


def padding_is_inert(trial: Trial) -> str | None:
    """Padding on the right (of keys, and of queries where T = S) with anything in it leaves the real rows alone."""

    def check(case: Case) -> None:
        bare, T = trial.mixed(case), case.where.T
        for padded in _padded(trial, case):
            same(trial.mixed(padded)[..., :T, :], bare, f"{PADDING} padded tokens change the real rows", case)

    trial.each(check)
    return None


def _padded(trial: Trial, case: Case) -> list[Case]:
    w, B = case.where, case.q.shape[0]
    S, square = w.S, w.T == w.S

    def longer(x: Tensor) -> Tensor:
        return torch.cat([x, trial.junk(x[..., :1, :].expand(*x.shape[:-2], PADDING, x.shape[-1]))], dim=-2)

    def stretched(x: Tensor) -> Tensor:
        return torch.cat([x, x[..., -1:].expand(*x.shape[:-1], PADDING)], dim=-1)

    keep = (torch.arange(S + PADDING) < S).expand(B, -1)
    where = Where(
        torch.arange(S + PADDING) if square else w.query_position,
        torch.arange(S + PADDING),
        keep,
        keep if square else None,
        stretched(w.query_document) if square and w.query_document is not None else w.query_document,
        stretched(w.key_document) if w.key_document is not None else None,
    )
    padded = Case(longer(case.q) if square else case.q, longer(case.k), longer(case.v), where)
    if trial.subject.spec is None:
        return [padded]
    return [padded, replace(padded, where=replace(where, lengths=torch.full((B,), S)))]


def masked_keys_are_inert(trial: Trial) -> str | None:
    """What stands at a masked key, wherever it is, changes nothing, and nothing is given to it."""

    def check(case: Case) -> None:
        keep = some_kept(trial.generator, 2, case.where.S)
        case = case.keeping(keep)
        gone = ~keep[:, None, :, None]
        k, v = (torch.where(gone, trial.junk(x), x) for x in (case.k, case.v))
        same(trial.mixed(Case(case.q, k, v, case.where)), trial.mixed(case), "masked keys change the result", case)
        given = trial.subject.matrix(case.q, case.k, case.where).masked_fill(keep[:, None, None, :], 0.0)
        same(given, torch.zeros_like(given), "masked keys are given weight", case)

    trial.each(check)
    return None


def empty_rows_are_zero(trial: Trial) -> str | None:
    """A query that may see nothing gives exactly zero, and gradients there are zero and finite everywhere."""

    def check(case: Case) -> None:
        keep = some_kept(trial.generator, 2, case.where.S)
        keep[0] = False
        q, k, v = (x.clone().requires_grad_() for x in (case.q, case.k, case.v))
        out = trial.mixed(Case(q, k, v, case.keeping(keep).where))
        if not torch.isfinite(out).all():
            raise Broken(f"a row that sees nothing gives NaN or infinity at {case.size}")
        largest = float(out[0].detach().abs().max())
        if largest != 0.0:
            raise Broken(f"a row that sees nothing gives {largest:.2g} instead of zeros at {case.size}")
        weight = torch.randn(out.shape, generator=trial.generator, dtype=out.dtype)
        grads = torch.autograd.grad((out * weight).sum(), (q, k, v), allow_unused=True)
        for name, grad in zip("qkv", grads, strict=True):
            if grad is None:
                continue
            if not torch.isfinite(grad).all():
                raise Broken(f"the gradient of {name} is NaN or infinite beside a row that sees nothing at {case.size}")
            if float(grad[0].abs().max()) != 0.0:
                raise Broken(f"the gradient of {name} is not zero in a row that sees nothing at {case.size}")

    trial.each(check)
    return None


def batch_is_independent(trial: Trial) -> str | None:
    """Each item of a batch with several lengths gives what it gives alone."""

    def check(case: Case) -> None:
        case = case.keeping(some_kept(trial.generator, 3, case.where.S))
        out = trial.mixed(case)
        for index in range(3):
            same(out[index : index + 1], trial.mixed(case.item(index)), "an item differs from itself alone", case)

    trial.each(check, batch=3)
    return None


def window_is_exact(trial: Trial) -> str | None:
    """Once the sequence is longer than the window, each query far from the ends sees exactly its width."""
    width = trial.subject.facts.window
    if width is None:
        raise NotApplicable("no window is claimed")
    n = 4 * width + 1

    def check(case: Case) -> None:
        seen = (trial.subject.matrix(case.q, case.k, case.where) != 0).sum(-1)
        inner = seen[..., width - 1 :] if trial.subject.facts.causal else seen[..., width:-width]
        low, high = int(inner.min()), int(inner.max())
        if (low, high) != (width, width):
            counts = str(low) if low == high else f"between {low} and {high}"
            raise Broken(f"a query sees {counts} keys where the window claims {width}, at {case.size}")

    trial.each(check, sizes=((n, n),))
    return f"{width} keys"


def steps_equal_whole(trial: Trial) -> str | None:
    """One query at a time, with the keys so far, gives the rows of the whole."""
    spec = trial.subject.spec
    if spec is None:
        raise NotApplicable("asked of our own operators")
    refusal = spec.refuses_cache()
    if refusal is not None:
        raise NotApplicable(refusal)

    def check(case: Case) -> None:
        whole, n = trial.mixed(case), case.where.T
        for t in sorted({0, n // 2, n - 1}):
            so_far = case.first(t + 1, t + 1)
            w = so_far.where
            assert w.query_document is not None
            where = replace(w, query_position=w.query_position[-1:], query_document=w.query_document[..., -1:])
            step = Case(so_far.q[..., -1:, :], so_far.k, so_far.v, where)
            same(trial.mixed(step), whole[..., t : t + 1, :], f"step {t} differs from row {t} of the whole", case)

    trial.each(check, sizes=tuple(size for size in trial.sizes if size[0] == size[1]))
    return None
