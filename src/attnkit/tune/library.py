"""Optuna, imported where it is used: quiet, and named in the error where it is missing."""

import warnings
from typing import Any

from attnkit.errors import UsageError


def optuna() -> Any:
    """The library, with its chatter on the terminal turned off.

    Raises: UsageError where it is not installed.
    """
    try:
        import optuna as library
    except ImportError:
        raise UsageError("tuning needs optuna, which is not installed; pip install 'attnkit[tune]'") from None
    library.logging.set_verbosity(library.logging.ERROR)
    # Parts of it are marked as experimental; which ones we use is ours to say, not the user's to hear of.
    warnings.filterwarnings("ignore", category=library.exceptions.ExperimentalWarning)
    return library
