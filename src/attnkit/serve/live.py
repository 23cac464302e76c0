"""Learning while serving: what a service asks of a model that learns, and when it asks."""

import logging
from typing import Any, Protocol

from attnkit.serve.batcher import Batcher, Busy
from attnkit.serve.log import said
from attnkit.train.predictor import Predictor


class Live(Protocol):
    """A model that learns from the file of feedback; all of it is called from the thread that computes."""

    @property
    def predictor(self) -> Predictor:
        """The model as it has learned so far; what it learns later changes this very object."""
        ...

    def catch_up(self) -> bool:
        """Make one update where enough feedback waits; True where enough for another waits."""
        ...

    def told(self) -> dict[str, Any]:
        """Where it stands, as plain data; "update_rows" is how much feedback an update takes."""
        ...


class Learning:
    """Updates take their turn in the queue of texts, between two computations, so no answer sees half of one."""

    def __init__(self, live: Live, batcher: Batcher) -> None:
        self.live, self._batcher = live, batcher
        self.trouble = ""
        self.standing = live.told()
        self._noted, self._waits = 0, False

    def begin(self) -> None:
        """Learn what the file holds already."""
        self._ask()

    def noted(self) -> None:
        """Feedback was appended; called from one thread."""
        self._noted += 1
        if self._noted >= self.standing["update_rows"]:
            self._noted = 0
            self._ask()

    def told(self) -> dict[str, Any]:
        """Where the learner stands, and why it stopped where it did."""
        return {**self.standing, **({"stopped": self.trouble} if self.trouble else {})}

    def _ask(self) -> None:
        if self._waits or self.trouble:
            return
        self._waits = True
        try:
            self._batcher.do(self._learn)
        except Busy:
            # The file holds it; the next feedback asks again.
            self._waits = False

    def _learn(self) -> None:
        self._waits = False
        try:
            more = self.live.catch_up()
            self.standing = self.live.told()
        except Exception as error:
            # Whatever is wrong with learning must not end answering.
            self.trouble = str(error) or type(error).__name__
            said("learning stopped", level=logging.ERROR, trouble=error)
            return
        said("learned", point=self.standing["point"], rows=self.standing["rows"])
        if more:
            self._ask()
