"""What the arithmetic of a training step is done in, and what this machine can do."""

from collections.abc import Callable
from typing import Any

import torch

from attnkit.errors import UsageError

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(precision: str) -> torch.autocast:
    """The autocast under which a loss is computed; weights, their gradients and the optimizer stay float32."""
    return torch.autocast("cpu", _TYPES[precision], enabled=precision != "float32")


def make_scaler(precision: str) -> torch.amp.GradScaler:
    """What keeps small gradients above zero in float16; in any other precision it changes nothing.

    Source: Micikevicius et al. (2018), Mixed precision training, section 3.2, with a scale that adapts.
    """
    return torch.amp.GradScaler("cpu", enabled=precision == "float16")


def check_precision(precision: str, rehearse: Callable[[], Any]) -> None:
    """Hold a precision to what this machine computes in it, by one rehearsal of a step.

    Raises: UsageError where a layer has no such arithmetic here.
    """
    if precision == "float32":
        return
    try:
        rehearse()
    except (RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split("Run workload")[0].split())
        raise UsageError(
            f"this machine cannot compute the model in {precision} ({reason.rstrip('. ')}); "
            'set train.precision = "bfloat16" or "float32"'
        ) from None
