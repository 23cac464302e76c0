"""The plan: which kernel computes an operator here, why not the faster ones, and what it will cost."""

from dataclasses import dataclass, replace
from functools import lru_cache

from attnkit.attention.base import Attention
from attnkit.kernels.banded import Banded
from attnkit.kernels.blocks import Blocks
from attnkit.kernels.cost import Cost
from attnkit.kernels.flex import Flex
from attnkit.kernels.kernel import Kernel
from attnkit.kernels.lengths import Lengths
from attnkit.kernels.parts import Parts
from attnkit.kernels.reference import Reference
from attnkit.kernels.rows.kernel import Rows
from attnkit.kernels.scan import Scan
from attnkit.kernels.sdpa import SDPA, results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.slabs import Slabs

# Fastest first; the last one fits everything.
KERNELS: tuple[Kernel, ...] = (
    Scan(),
    Parts(),
    Blocks(),
    Lengths(),
    Banded(),
    SDPA(),
    Slabs(),
    Rows(),
    Flex(),
    Reference(),
)


@dataclass(frozen=True)
class Plan:
    """A choice of kernel, with the reason each faster one was passed over; `cost` is None where sizes are not known."""

    kernel: Kernel
    passed_over: tuple[tuple[str, str], ...]
    cost: Cost | None
    inner: tuple[tuple[str, "Plan"], ...] = ()

    def __str__(self) -> str:
        lines = [f"kernel: {self.kernel.name}"]
        lines += [f"cost: {self.cost}"] if self.cost else []
        lines += [f"not {name}: {reason}" for name, reason in self.passed_over]
        for name, one in self.inner:
            lines += [f"{name}:", *(f"  {line}" for line in str(one).splitlines())]
        return "\n".join(lines)


@lru_cache(maxsize=1024)
def plan(spec: Attention, situation: Situation, kernel: str = "auto") -> Plan:
    """The first kernel that fits and pays, or the one asked for.

    Raises: ValueError where the name is unknown, or where the kernel asked for does not fit: it never falls back.
    """
    by_name = {each.name: each for each in KERNELS}
    if kernel != "auto":
        if kernel not in by_name:
            raise ValueError(f"no kernel is called {kernel!r}; there are auto, {', '.join(by_name)}")
        reason = by_name[kernel].fits(spec, situation)
        if reason:
            raise ValueError(f"kernel {kernel!r} cannot compute this: {reason}; use kernel='auto'")
        return _plan(by_name[kernel], (), spec, situation)
    passed_over: list[tuple[str, str]] = []
    for each in KERNELS:
        if each.on_request:
            continue
        reason = each.fits(spec, situation) or each.pays(spec, situation)
        if reason is None:
            return _plan(each, tuple(passed_over), spec, situation)
        if each.concerns(spec, situation):
            passed_over.append((each.name, reason))
    raise AssertionError("the reference kernel fits everything")


def _plan(kernel: Kernel, passed_over: tuple[tuple[str, str], ...], spec: Attention, situation: Situation) -> Plan:
    inner = tuple((each.name, plan(each.spec, each.situation)) for each in kernel.portions(spec, situation))
    if situation.T is None:
        return Plan(kernel, passed_over, None, inner)
    if not inner:
        return Plan(kernel, passed_over, kernel.cost(spec, situation))
    first, *others = (one.cost for _, one in inner if one.cost is not None)
    total = sum(others, start=first)
    # Gradients are added up as they come: those of q, k and v stand there once.
    shared = len(others) * (results_bytes(situation) - results_bytes(replace(situation, needs_grad=False)))
    return Plan(kernel, passed_over, replace(total, peak_bytes=max(first.peak_bytes, total.peak_bytes - shared)), inner)
