"""The plan: which kernel computes an operator here, and why not the faster ones."""

from dataclasses import dataclass
from functools import lru_cache

from attnkit.attention.base import Attention
from attnkit.kernels.kernel import Kernel
from attnkit.kernels.reference import Reference
from attnkit.kernels.sdpa import SDPA
from attnkit.kernels.situation import Situation

# Fastest first; the last one fits everything.
KERNELS: tuple[Kernel, ...] = (SDPA(), Reference())


@dataclass(frozen=True)
class Plan:
    """A choice of kernel, with the reason each faster one was passed over."""

    kernel: Kernel
    passed_over: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"kernel: {self.kernel.name}"]
        lines += [f"not {name}: {reason}" for name, reason in self.passed_over]
        return "\n".join(lines)


@lru_cache(maxsize=1024)
def plan(spec: Attention, situation: Situation, kernel: str = "auto") -> Plan:
    """The first kernel that fits, or the one asked for.

    Raises: ValueError where the name is unknown, or where the kernel asked for does not fit: it never falls back.
    """
    by_name = {each.name: each for each in KERNELS}
    if kernel != "auto":
        if kernel not in by_name:
            raise ValueError(f"no kernel is called {kernel!r}; there are auto, {', '.join(by_name)}")
        reason = by_name[kernel].fits(spec, situation)
        if reason:
            raise ValueError(f"kernel {kernel!r} cannot compute this: {reason}; use kernel='auto'")
        return Plan(by_name[kernel], ())
    passed_over: list[tuple[str, str]] = []
    for each in KERNELS:
        reason = each.fits(spec, situation)
        if reason is None:
            return Plan(each, tuple(passed_over))
        passed_over.append((each.name, reason))
    raise AssertionError("the reference kernel fits everything")
