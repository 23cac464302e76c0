"""Errors of requests as answers: a status, and one sentence in JSON."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from attnkit.errors import FailedError, UsageError
from attnkit.serve.batcher import Busy
from attnkit.serve.guard import Refused
from attnkit.serve.shapes import Trouble, sentence_of

TROUBLES: dict[int | str, dict[str, Any]] = {
    status: {"model": Trouble, "description": said}
    for status, said in {
        401: "A token is needed.",
        413: "The request is too large.",
        422: "The request is malformed.",
        429: "This client asks too often; Retry-After says when to ask again.",
        503: "The queue is full, or the service is stopping; Retry-After says when to ask again.",
        504: "No answer came within the time-out.",
    }.items()
}


def add_troubles(app: FastAPI, seconds: float) -> None:
    """Let `app` answer whatever goes wrong with one sentence; `seconds` is its time-out."""

    async def wrong(request: Request, error: Exception) -> JSONResponse:
        return _said(422, str(error))

    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _said(500, str(error))

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return _said(500, "something unforeseen happened here; the log of the service tells where")

    async def busy(request: Request, error: Exception) -> JSONResponse:
        return _said(503, str(error), {"retry-after": "1"})

    async def late(request: Request, error: Exception) -> JSONResponse:
        return _said(504, f"no answer came within {seconds:g} s; ask again, or for less at once")

    async def refused(request: Request, error: Any) -> JSONResponse:
        return _said(error.status, error.sentence, error.headers)

    async def malformed(request: Request, error: Any) -> JSONResponse:
        return _said(422, sentence_of(error.errors()))

    async def by_http(request: Request, error: Any) -> JSONResponse:
        # Bodies that are no UTF-8, nested too deeply, or hold a number that is too long.
        if error.status_code == 400:
            return _said(422, "the body cannot be read as JSON in UTF-8; write it again")
        if error.status_code == 404:
            return _said(404, "there is nothing here; GET /docs lists what there is")
        if error.status_code == 405:
            return _said(405, "this method is not taken here; GET /docs shows how to ask", error.headers)
        return _said(error.status_code, str(error.detail), error.headers)

    app.add_exception_handler(UsageError, wrong)
    app.add_exception_handler(FailedError, failed)
    app.add_exception_handler(Busy, busy)
    # Answered, then raised again, so that it is logged.
    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(TimeoutError, late)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, by_http)


def _said(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return JSONResponse({"error": sentence}, status, named)
