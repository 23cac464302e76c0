"""The library of native loops: found, checked and loaded once, or the reason why it is not."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor

SWITCH = "ATTNKIT_NATIVE"
# Raised together with INTERFACE in loops.cpp whenever a signature changes: a library of older sources is not called.
INTERFACE = 6
_POINTER, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float
# Prepared queries and keys, each with its powers, the stride of the keys, v, hidden units, keys and the form.
_ADDITIVE = (_POINTER, _POINTER, _POINTER, _POINTER, _LONG, _POINTER, _LONG, _LONG, _INT)
SIGNATURES: dict[str, tuple[type, ...]] = {
    "attnkit_sparsemax": (_POINTER, _LONG, _LONG, _LONG, _INT),
    "attnkit_entmax15": (_POINTER, _LONG, _LONG, _LONG, _INT),
    "attnkit_sparsemax_backward": (_POINTER, _LONG, _POINTER, _LONG, _LONG, _LONG, _INT),
    "attnkit_entmax15_backward": (_POINTER, _LONG, _POINTER, _LONG, _LONG, _LONG, _INT),
    "attnkit_entmax": (_POINTER, _LONG, _LONG, _LONG, _FLOAT, _INT),
    "attnkit_entmax_backward": (_POINTER, _LONG, _POINTER, _LONG, _LONG, _LONG, _FLOAT, _INT),
    "attnkit_dropout": (_POINTER, _LONG, _LONG, _LONG, _INT, _INT, _INT, _INT, _INT, _FLOAT, _INT),
    "attnkit_cap": (_POINTER, _LONG, _POINTER, _LONG, _LONG, _LONG, _FLOAT, _INT),
    "attnkit_additive": (*_ADDITIVE, _POINTER, _LONG, _LONG, _INT),
    "attnkit_additive_backward": (*_ADDITIVE, _POINTER, _LONG, _LONG, _POINTER, _POINTER, _LONG, _POINTER, _INT),
    "attnkit_window": (_POINTER, _INT),
    "attnkit_window_backward": (_POINTER, _INT),
    "attnkit_exponential": (_POINTER, _LONG, _LONG, _LONG, _INT),
}
_BUILD = "pip install attnkit where there is a C++ compiler, or python setup.py build_ext --inplace in its sources"

_switched_off = 0


def library() -> ctypes.CDLL | None:
    """The native loops, or None where `reason` says why not; torch.compile and export cannot see in, and get none."""
    if _switched_off or torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return None
    return _load()[0]


def reason() -> str | None:
    """Why the native loops are not active, in words and with what to do; None where they are."""
    if _switched_off:
        return "switched off by without_native()"
    return _load()[1]


def level() -> str | None:
    """The instructions that the native loops use here: "AVX-512", "AVX2" or "baseline"; None where there are none."""
    active = library()
    return None if active is None else active.attnkit_level().decode()


@contextmanager
def without_native() -> Iterator[None]:
    """Within it everything runs on plain PyTorch, in every thread; for tests and comparisons."""
    global _switched_off
    _switched_off += 1
    try:
        yield
    finally:
        _switched_off -= 1


def threads() -> int:
    """How many threads a loop may use: as many as torch may."""
    return torch.get_num_threads()


def plain(x: Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """True where the memory of x may be given to a loop: a dense tensor on the processor of just this type.

    Its last axis must be contiguous; the strides before it are the caller's to pass.
    """
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and x.layout == torch.strided
        and x.dtype == dtype
        and not x.is_neg()
        and not (x.requires_grad and torch.is_grad_enabled())
        and (x.dim() == 0 or x.shape[-1] <= 1 or x.stride(-1) == 1)
    )


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    if os.environ.get(SWITCH, "1") == "0":
        return None, f"switched off by {SWITCH}=0"
    folder = Path(__file__).parent
    built = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_loops{suffix}").exists()]
    if not built:
        return None, f"not built: {_BUILD}"
    try:
        found = ctypes.CDLL(str(built[0]))
        found.attnkit_interface.restype = _INT
        if found.attnkit_interface() != INTERFACE:
            return None, f"{built[0].name} was built of other sources: {_BUILD}"
        for name, arguments in SIGNATURES.items():
            function = getattr(found, name)
            function.argtypes, function.restype = arguments, None
    except (OSError, AttributeError) as error:
        return None, f"{built[0].name} cannot be used ({' '.join(str(error).split())}): {_BUILD}"
    found.attnkit_level.restype = ctypes.c_char_p
    found.attnkit_use_level.argtypes, found.attnkit_use_level.restype = (_INT,), _INT
    return found, None
