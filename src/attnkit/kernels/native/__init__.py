"""Inner loops in C++, for what PyTorch's operators would pass over memory many times; each has a twin in PyTorch."""

from attnkit.kernels.native.loading import level, library, plain, reason, threads, without_native

__all__ = ["level", "library", "plain", "reason", "threads", "without_native"]
