"""What people say of predictions, kept in a file that only ever grows."""

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from attnkit.errors import FailedError, UsageError
from attnkit.files import append_line
from attnkit.serve.answerer import Answerer


class Feedback:
    """A file of JSON lines, each {time, model, text, label, prediction}, that is only appended to.

    Raises: UsageError where the file cannot be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        except OSError as error:
            raise UsageError(f"--learn {path} cannot be written ({error.strerror}); name another file") from None

    def add(self, model: str, text: str | list[str], label: Any, prediction: Any) -> None:
        """Append one line, whole and on the disk before this returns.

        Raises: FailedError where the disk refuses.
        """
        line = {"time": round(time.time(), 3), "model": model, "text": text, "label": label, "prediction": prediction}
        with self._lock:
            try:
                append_line(self.path, json.dumps(line, ensure_ascii=False))
            except OSError as error:
                raise FailedError(f"the feedback could not be written ({error.strerror or error})") from None


def check_label(model: Answerer, label: Any) -> None:
    """Nothing, where the model could have given this label.

    Raises: UsageError saying what it gives.
    """
    if model.kind == "score":
        if isinstance(label, (str, list)) or not math.isfinite(label):
            raise UsageError(f"{model.name} predicts a number, and the label given is none")
        return
    if (model.kind == "multi") != isinstance(label, list):
        wanted = "a list of its classes" if model.kind == "multi" else "one of its classes"
        raise UsageError(f"{model.name} predicts {wanted}; give the label as such")
    if any(name not in model.schema.classes for name in (label if isinstance(label, list) else [label])):
        raise UsageError(f"the label is none of the classes of {model.name}; GET /model lists them")
