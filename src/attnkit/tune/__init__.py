"""Tune: settings of a recipe, searched within a budget, on rows that the final figure does not rest on."""

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import Any

from attnkit.tune.directory import Study
from attnkit.tune.joining import join
from attnkit.tune.tuning import tune

__all__ = ["Study", "join", "tune"]


class _Verb(ModuleType):
    # Importing any module of this package binds the package to the name `attnkit.tune`, over the function.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return tune(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        return signature(tune)


sys.modules[__name__].__class__ = _Verb
