"""How this process holds memory: what is freed is kept, and kernels made for one shape are few."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory(pad_bytes: int = 64 * 2**20) -> bool:
    """Tell glibc to hold on to large blocks it would give back; True where it could be told.

    Large tensors are otherwise mapped and unmapped at each step, and every page is faulted in anew: a third to a half
    of the processor time of a recurrent network's step. It takes sizes that repeat (see `padded_width`), or what is
    held grows with each new one. Numbers do not change. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, pad_bytes))
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)


def keep_few_kernels(most: int = 64) -> None:
    """Let oneDNN hold at most so many of the kernels it makes for single shapes, where nothing was said of it.

    It holds 1,024, each of a convolution a quarter of a megabyte, which never end to come where shapes are many. Making
    one anew costs no time that could be measured. It is read when the first one is made.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(most))
