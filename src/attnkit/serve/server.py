"""A service behind an address: opened, announced, and stopped without losing what it accepted."""

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from attnkit.errors import UsageError
from attnkit.serve.log import said
from attnkit.serve.service import Phase, Service

if TYPE_CHECKING:
    from uvicorn import Server

_BACKLOG = 1024
# Connections that are open when it stops may still bring a request that was on its way.
_LINGER_SECONDS = 1.0


def is_local(host: str) -> bool:
    """True where an address is reached from this machine alone.

    Raises: UsageError where it is no address and no known name.
    """
    import ipaddress

    found = _addresses(host, 0)
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for _, address in found)


def listening(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 is a free one.

    Raises: UsageError where the host is unknown, or the port is taken or not allowed.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port takes a number from 0 to 65,535, and got {port:,}")
    family, address = _addresses(host, port)[0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise UsageError(f"port {port} of {host} cannot be had ({error.strerror}); name another with --port") from None
    return made


def url_of(made: socket.socket) -> str:
    """The address to ask, as a URL."""
    host, port = made.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def run(service: Service, made: socket.socket, *, proxy: str | None = None, ready: Callable[[], None]) -> None:
    """Serve on the socket until SIGTERM or SIGINT; `ready` is called once requests are answered.

    The first signal begins the end: for `drain_seconds` everything is still answered while health says "not ready";
    then nobody can connect any more, and whoever had is answered. A second signal ends at once.
    """
    from attnkit.serve.api import make_app

    server = gentle_server(service, make_app(service), proxy, ready)
    # Before the server, which would answer for an error here with an exit code of its own.
    service.start()
    with made:
        server.run(sockets=[made])
    said("stopped", accepted=service.accepted, answered=service.answered)


def gentle_server(service: Service, app: Any, proxy: str | None, ready: Callable[[], None]) -> "Server":
    """A server of `app` that ends as `run` tells; where `ready` is called, it answers.

    It hears signals where it runs in the main thread; elsewhere `handle_exit` does what one would.
    """
    import uvicorn

    class Gentle(uvicorn.Server):
        began: float | None = None
        listening: Sequence[socket.socket] = ()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            # Unlike the base class: a service that was told to stop, and has, ended well.
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if self.began is not None:
                self.should_exit = self.force_exit = True
                return
            self.began = time.monotonic()
            service.phase = Phase.DRAINING

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.listening = sockets or []
            ready()

        async def on_tick(self, counter: int) -> bool:
            if self.began is not None and not self.should_exit:
                await self._go_on_stopping(time.monotonic() - self.began - service.settings.drain_seconds)
            return await super().on_tick(counter)

        async def _go_on_stopping(self, drained: float) -> None:
            if drained < 0:
                return
            if service.phase is Phase.DRAINING:
                service.phase = Phase.STOPPING
                said("stopping", in_flight=service.in_flight, waiting=service.batcher.waiting)
                await self._stop_listening()
                return
            late = drained > service.settings.limits.seconds + _LINGER_SECONDS
            if late:
                said("gave up", logging.WARNING, in_flight=service.in_flight)
            gone = not self.server_state.connections or drained >= _LINGER_SECONDS
            if late or (gone and service.in_flight == 0):
                self.should_exit = True

        async def _stop_listening(self) -> None:
            # Whoever stands in the system's queue has connected as far as they know, and closing would cut them off.
            loop, waiting = asyncio.get_running_loop(), []
            for one in self.listening:
                with suppress(BlockingIOError):
                    while True:
                        waiting.append(one.accept()[0])
            for server in self.servers:
                server.close()
            for connection in waiting:
                await loop.connect_accepted_socket(self._protocol, connection)

        def _protocol(self) -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    return Gentle(config)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"--host {host} is no address and no name that is known here; give an address") from None
    return [(family, address) for family, _, _, _, address in found]
