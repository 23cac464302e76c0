"""What stands before every request: who may ask, how often, how much, and for how long."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from attnkit.serve.log import said
from attnkit.serve.service import Phase, Service
from attnkit.serve.token import carries

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Nothing of a model or a text is in these, and a browser or a balancer must reach them before it knows the token.
OPEN = frozenset({"/", "/docs", "/openapi.json", "/health", "/health/live", "/health/ready"})
FILE = "/predict/file"
_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_ID = re.compile(r"[\w.-]{1,64}")
# Bodies that wait at once, as a multiple of the largest one.
_BODIES = 8
_DISCARDED_BYTES, _DISCARD_SECONDS = 64 << 20, 2.0
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class Refused(Exception):
    """A request that is not passed on: the status, one sentence, and headers of the answer."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class _Held:
    """What one request holds of the room for bodies."""

    def __init__(self, service: Service) -> None:
        self._service, self.size = service, 0
        limits = service.settings.limits
        self._room = _BODIES * max(limits.body_bytes, limits.file_bytes)

    def take(self, count: int) -> None:
        """Hold `count` bytes more, where there is room."""
        self.size += count
        self._service.held_bytes += count
        if self._service.held_bytes > self._room:
            raise Refused(503, "too many bodies are held at once; ask again in a moment", retry_after="1")

    def give_back(self) -> None:
        """Hold nothing."""
        self._service.held_bytes -= self.size
        self.size = 0


class Guard:
    """An ASGI application around another: limits, token, identity and record of each request.

    A body is read whole before the request is passed on, so that a slow sender holds nothing but its own bytes.
    """

    def __init__(self, app: App, service: Service, paths: frozenset[str]) -> None:
        self._app, self._service, self._paths = app, service, paths

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        service, began, status, begun = self._service, time.monotonic(), 500, False
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        name = given if _ID.fullmatch(given) else secrets.token_hex(8)

        async def told(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                more = [*HEADERS, (b"x-request-id", name.encode())]
                if service.phase is not Phase.SERVING:
                    more.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        service.accepted += 1
        held = _Held(service)
        try:
            self._check(scope, headers)
            body = await self._body(scope["path"], headers, receive, held)
            await self._app(scope, _once(body, receive), told)
        except Refused as refusal:
            status = refusal.status
            await self._refuse(refusal, scope, receive, told)
        except Exception as error:
            said("failed", logging.ERROR, error, id=name, path=self._path(scope))
            if not begun:
                await _say(told, 500, "something unforeseen happened here; the log of the service tells where")
        finally:
            held.give_back()
            service.answered += 1
            took = time.monotonic() - began
            path = self._path(scope)
            service.metrics.request(path, status, took)
            client = scope["client"][0] if scope.get("client") else None
            ms = round(1000 * took, 2)
            said("request", id=name, method=scope["method"][:16], path=path, status=status, ms=ms, client=client)

    def _path(self, scope: MutableMapping[str, Any]) -> str:
        """The path as it may be counted and logged: one of ours, so that nobody fills a log or a metric with others."""
        return scope["path"] if scope["path"] in self._paths else "(other)"

    def _check(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> None:
        service, path = self._service, scope["path"]
        health = path.startswith("/health")
        if service.in_flight > service.settings.limits.open_requests and not health:
            most = service.settings.limits.open_requests
            raise Refused(503, f"{most:,} requests are under way and no more may be; ask again", retry_after="1")
        token = service.settings.token
        if token is None:
            _check_here(headers)
        if health:
            return
        seconds = service.rate.wait(scope["client"][0] if scope.get("client") else "")
        if seconds:
            most = service.settings.limits.per_minute
            raise Refused(
                429, f"one client may ask {most:,} times a minute; wait {seconds} s", retry_after=str(seconds)
            )
        if token is not None and path not in OPEN and not carries(headers.get("authorization"), token):
            raise Refused(
                401, "a token is needed: send the header Authorization: Bearer TOKEN", www_authenticate="Bearer"
            )

    async def _body(self, path: str, headers: dict[str, str], receive: Receive, held: "_Held") -> bytes:
        limits = self._service.settings.limits
        most = limits.file_bytes if path == FILE else limits.body_bytes
        too_large = Refused(413, f"the body is larger than the {most:,} bytes that are taken; send less at once")
        stated = headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > most:
            raise too_large
        parts = []
        try:
            async with asyncio.timeout(limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the connection ended before the body did")
                    parts.append(message.get("body", b""))
                    held.take(len(parts[-1]))
                    if held.size > most:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, f"the body did not come within {limits.seconds:g} s; send it at once") from None

    async def _refuse(self, refusal: Refused, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if refusal.status == 413:
            # Whoever is still sending cannot hear the answer, so a part of the rest is let in and dropped.
            await _discard(receive)
        await _say(send, refusal.status, refusal.sentence, **refusal.headers)


def _check_here(headers: dict[str, str]) -> None:
    """Without a token only names tell this machine's own requests from those of a page that came from elsewhere."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not _LOCAL.fullmatch(host):
        raise Refused(421, "this service is for this machine alone; ask it by the name localhost, or give it a token")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refused(403, "requests from pages of another origin are refused; ask from a program, or from GET /")


async def _say(send: Send, status: int, sentence: str, **headers: str) -> None:
    content = json.dumps({"error": sentence}, ensure_ascii=False).encode()
    plain = {"content-type": "application/json", "content-length": str(len(content))}
    plain |= {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.encode(), value.encode()) for name, value in plain.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


def _once(body: bytes, receive: Receive) -> Receive:
    """A receiver that gives the whole body, and after it whatever comes."""
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


async def _discard(receive: Receive) -> None:
    size = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while size < _DISCARDED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
