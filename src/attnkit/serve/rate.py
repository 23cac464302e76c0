"""How often one client may ask: a bucket of tokens each, filled steadily."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_CLIENTS = 10_000
# What may be asked at once, as a share of a minute's requests.
_BURST = 1 / 6


class RateLimit:
    """At most `per_minute` requests a minute from each client, a sixth of them at once; 0 is no limit.

    The clients that were quiet longest are forgotten beyond 10,000 of them.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self.burst = max(1.0, per_minute * _BURST)
        self._now = now
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> int:
        """0 where the client may ask now, and has; else the whole seconds until it may."""
        if not self.per_minute:
            return 0
        key, now = _network(client), self._now()
        left, then = self._held.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.per_minute / 60)
        allowed = left >= 1
        self._held[key] = (left - 1 if allowed else left, now)
        while len(self._held) > _MOST_CLIENTS:
            self._held.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) * 60 / self.per_minute))


def _network(client: str) -> str:
    """A client's address; of IPv6 the /64 it can draw addresses from."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
