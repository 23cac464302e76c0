"""What attention did: recorded while a model runs, counted without its maps, kept in one file."""

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import Any

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.diff import diff as diff_captures
from attnkit.capture.file import load as load_capture
from attnkit.capture.file import save as save_capture
from attnkit.capture.record import capture, capture_arrays

__all__ = [
    "Capture",
    "CapturedLayer",
    "capture",
    "capture_arrays",
    "diff_captures",
    "load_capture",
    "save_capture",
]


class _Recorder(ModuleType):
    # Importing any module of this package binds the package to the name `attnkit.capture`, over the function.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return capture(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        return signature(capture)


sys.modules[__name__].__class__ = _Recorder
