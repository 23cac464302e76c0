"""The warning that a whole T x S map is about to be kept."""

import warnings
from functools import lru_cache

from attnkit.attention.base import Attention
from attnkit.kernels.plan import Plan

# A map of 4,096 tokens in eight heads, and what its gradient needs beside it, is twice this and more.
DENSE_BYTES = 256 * 2**20


class DenseMapWarning(UserWarning):
    """A path keeps a T x S map of more than `DENSE_BYTES`."""


def warn_of_dense(spec: Attention, chosen: Plan) -> None:
    """Warn, once for an operator and kernel, where the plan keeps a large map; whoever chose it."""
    if chosen.cost is not None and chosen.cost.map_bytes > DENSE_BYTES:
        _warn(spec, chosen)


@lru_cache(maxsize=256)
def _warn(spec: Attention, chosen: Plan) -> None:
    why = "; ".join(f"{name}: {reason}" for name, reason in chosen.passed_over) or "it was asked for"
    warnings.warn(
        f"kernel {chosen.kernel.name!r} keeps a map of T x S for {type(spec).__name__} ({chosen.cost}); {why}. "
        "Use fewer tokens, or an operator that runs in rows",
        DenseMapWarning,
        stacklevel=4,
    )
