"""What a service is made with, and what is said once it answers."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attnkit.cli.terminal import say, show_json
from attnkit.errors import UsageError


def announcement(json: bool) -> Callable[[str, Any], None]:
    """What to call with the address and the service, once it answers."""

    def announce(url: str, service: Any) -> None:
        limits, batching = service.settings.limits, service.settings.batching
        if json:
            show_json({"url": url, "models": list(service.models), "requests_a_minute": limits.per_minute})
        else:
            together = (
                f"up to {batching.rows} texts are computed together" if batching.rows > 1 else "one text at a time"
            )
            often = (
                f"{limits.per_minute:,} requests a minute from one client" if limits.per_minute else "no limit of rate"
            )
            token = "a token is needed" if service.settings.token else "this machine alone, no token"
            say(f"{', '.join(service.models)} at {url}", f"{together}; {often}; {token}; Ctrl-C ends it")
        sys.stdout.flush()

    return announce


def live_learner(run: Path, feedback: Path | None, folder: Path | None, task: str | None, allow_code: bool) -> Any:
    """What learns in `folder` from the file of feedback while the run is served; None where no folder is named.

    Raises: UsageError where there is no file of feedback, or the folder belongs to another run.
    """
    if folder is None:
        return None
    if feedback is None:
        raise UsageError(f"--learner {folder} learns from what --learn keeps; name that file too")
    if task is not None:
        raise UsageError(f"--learner {folder} learns the main task, and --task {task} serves another; leave one out")
    from attnkit.adapt.live import LiveLearner

    return LiveLearner(run, folder, feedback, allow_code=allow_code)
