"""What is said once a service answers."""

import sys
from collections.abc import Callable
from typing import Any

from attnkit.cli.terminal import say, show_json


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
