"""Local patterns as strided blocks of queries, each beside the keys it can reach."""

from attnkit.kernels.banded.kernel import Banded

__all__ = ["Banded"]
