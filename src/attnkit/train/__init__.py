"""From a data file to a trained, measured, predicting run directory."""

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import Any

from attnkit.train.evaluation import Evaluation, evaluate
from attnkit.train.events import Event
from attnkit.train.interrupt import Interrupted
from attnkit.train.predictor import Looked, Predictor, load
from attnkit.train.rate_range import RateRange, learning_rate_range
from attnkit.train.training import train

__all__ = [
    "Evaluation",
    "Event",
    "Interrupted",
    "Looked",
    "Predictor",
    "RateRange",
    "evaluate",
    "learning_rate_range",
    "load",
    "train",
]


class _Verb(ModuleType):
    # Importing any module of this package binds the package to the name `attnkit.train`, over the function.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return train(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        return signature(train)


sys.modules[__name__].__class__ = _Verb
