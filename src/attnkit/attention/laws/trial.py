"""Trial: one subject, the sizes it is tried at, and how two results are compared."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnkit.attention.laws.draws import Case, Size, draw_case
from attnkit.attention.laws.report import Broken, NotApplicable
from attnkit.attention.laws.subject import Subject

TOLERANCE = 1e-7  # relative, in float64: far above rounding, far below any leak
HUGE = 1e4  # what stands in padding: large enough to overwhelm any row it enters


@dataclass(frozen=True, eq=False)
class Trial:
    """What every law is given."""

    subject: Subject
    sizes: tuple[Size, ...]
    witnesses: tuple[Size, ...]
    generator: torch.Generator

    def each(self, check: Callable[[Case], None], sizes: tuple[Size, ...] | None = None, batch: int = 2) -> None:
        """Run `check` at each size.

        Raises: NotApplicable where the subject takes none of the sizes (NotImplementedError says that it does not).
        """
        reason, ran = "no size of this kind was asked for", False
        for size in self.sizes if sizes is None else sizes:
            try:
                check(self.case(size, batch))
                ran = True
            except NotImplementedError as error:
                reason = str(error) or "it takes none of the sizes"
        if not ran:
            raise NotApplicable(reason)

    def case(self, size: Size, batch: int = 2, groups: int | None = None) -> Case:
        """Fresh tensors of this size."""
        return draw_case(self.subject.dims, size, self.generator, batch=batch, groups=groups)

    def redrawn(self) -> "Trial":
        """The same with other parameters, where the laws draw them."""
        return replace(self, subject=self.subject.redrawn(self.generator))

    def mixed(self, case: Case) -> Tensor:
        """out_BHTE of one case."""
        out = self.subject.call(case.q, case.k, case.v, case.where)
        expected = (*case.q.shape[:3], case.v.shape[-1])
        if tuple(out.shape) != expected:
            raise Broken(f"gave shape {tuple(out.shape)} where (B, H, T, E) is {expected} at {case.size}")
        return out

    def junk(self, like: Tensor) -> Tensor:
        """Huge values of the same shape."""
        return HUGE * torch.randn(like.shape, generator=self.generator, dtype=like.dtype)


def same(got: Tensor, expected: Tensor, what: str, case: Case, tolerance: float = TOLERANCE) -> None:
    """Refuse a difference.

    Raises: Broken saying how large it is, where the two differ by more than rounding, or one is not finite.
    """
    if not torch.isfinite(got).all():
        raise Broken(f"{what}: {int((~torch.isfinite(got)).sum())} numbers are NaN or infinite at {case.size}")
    gap = difference(got, expected)
    if gap > tolerance:
        raise Broken(f"{what}: off by {gap:.2g} (relative) at {case.size}")


def difference(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected magnitude, where that is above one."""
    if got.numel() == 0:
        return 0.0
    got, expected = got.detach(), expected.detach()
    return float((got - expected).abs().max()) / max(1.0, float(expected.abs().max()))
