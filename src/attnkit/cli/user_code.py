"""`module:name`: the user's own code, imported from the current folder because the user named it."""

import difflib
import importlib
import os
import sys
from typing import Any

from attnkit.errors import UsageError


def load_target(target: str) -> Any:
    """What `module:name` stands for; a class is called without arguments.

    Raises: UsageError where the module cannot be imported, or holds no such thing.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise UsageError(f"{target!r} is not of the form module:name, such as my_attention:attend")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # importing runs the user's code, which may raise anything
        said = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"the module {module_name!r} cannot be imported from {here} ({said}); mend it, or name another"
        ) from error
    for piece in name.split("."):
        if not hasattr(found, piece):
            near = difflib.get_close_matches(piece, dir(found), n=1)
            hint = f"did you mean {near[0]!r}" if near else f"look into {getattr(found, '__file__', module_name)}"
            raise UsageError(f"{module_name!r} holds no {name!r}; {hint}")
        found = getattr(found, piece)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:  # the user's own constructor
        said = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"the class {target} cannot be made without arguments ({said}); name an object or a function"
        ) from error
