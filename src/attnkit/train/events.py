"""What training says while it works: one Event each time, to the log and to whoever listens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attnkit.run.log import Log


@dataclass(frozen=True)
class Event:
    """`kind` and its `values`.

    - said        sentence: something inferred, chosen or done
    - choice      field, value, reason: a recipe field that the data settled
    - finding     level ("error", "warning", "note"), sentence, places (the first 20), places_in_all (their
                  number): from the data check
    - start       epochs, steps_an_epoch, parameters, train, validation, test (rows); fold, folds where there are folds;
                  unread (rows held out as test) in a range test
    - step        epoch, step, steps (in all), loss, learning_rate
    - evaluation  epoch, step, measure, value, loss, best (True where it is the best so far), seconds
    - stop        reason: why training ended
    - measured    name, value, low, high, n: one figure of the test split
    - done        path, seconds
    """

    kind: str
    values: dict[str, Any]


Listener = Callable[[Event], None]


class Say:
    """Sends events to the listener and, once there is one, to the log."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.listener = listener
        self.log: Log | None = None
        self.sentences: list[str] = []

    def __call__(self, kind: str, **values: Any) -> None:
        if kind == "said":
            self.sentences.append(values["sentence"])
        if self.log is not None:
            self.log.write(kind, values)
        if self.listener is not None:
            self.listener(Event(kind, values))
