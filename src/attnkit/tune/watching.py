"""What a study says while it goes on: one event a trial that began or ended."""

from attnkit.train.events import Say
from attnkit.tune.account import STATES, counted
from attnkit.tune.search import Search


class Watch:
    """Compares the account with what was said before, and says what is new.

    Events beside those of training: `trial` with number, state, setting, value (None without one), reason, seconds,
    best (True where it is the best so far), done and wanted (trials that count, and how many there will be, 0: as many
    as the time allows).
    """

    def __init__(self, search: Search, say: Say, wanted: int) -> None:
        self.search, self.say, self.wanted = search, say, wanted
        self.said: dict[int, str] = {line.number: line.state for line in search.lines() if line.state != "running"}
        self.best: float | None = None
        for line in search.lines():
            if line.state == "complete" and line.value is not None and search.plan.better(line.value, self.best):
                self.best = line.value

    def __call__(self) -> None:
        """Say what changed since the last call."""
        lines = self.search.lines()
        done = sum(line.state not in ("running", "waiting") for line in counted(lines))
        for line in lines:
            if line.state in ("waiting", self.said.get(line.number)):
                continue
            assert line.state in STATES
            self.said[line.number] = line.state
            best = (
                line.state == "complete" and line.value is not None and self.search.plan.better(line.value, self.best)
            )
            self.best = line.value if best else self.best
            self.say(
                "trial",
                number=line.number,
                state=line.state,
                setting=line.setting,
                value=line.value,
                reason=line.reason,
                seconds=line.seconds,
                best=best,
                default=line.default,
                done=done,
                wanted=self.wanted,
            )
