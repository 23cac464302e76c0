"""The HTTP interface of a service, as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from attnkit import __version__
from attnkit.serve import shapes
from attnkit.serve.answerer import Answerer
from attnkit.serve.batcher import Answer
from attnkit.serve.feedback import Feedback, check_label
from attnkit.serve.guard import Guard, Refused
from attnkit.serve.pages import DOCS_POLICY, docs_page, predict_page
from attnkit.serve.service import Service, texts_of
from attnkit.serve.troubles import TROUBLES, add_troubles
from attnkit.serve.upload import KINDS, predicted_file

T = TypeVar("T")
DESCRIPTION = "Predictions of trained attention models, and where they looked. Every error is one sentence."
_FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def make_app(service: Service) -> Guard:
    """The application of a service; its models warm up when it starts, and what waits is answered when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not service.batcher.alive:
            service.start()
        yield
        await asyncio.to_thread(service.batcher.stop)

    app = FastAPI(
        title="attnkit",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=TROUBLES,
    )
    add_troubles(app, service.settings.limits.seconds)
    _add_answers(app, service)
    _add_files(app, service)
    if service.feedback is not None:
        _add_feedback(app, service, service.feedback)
    _add_looking_after(app, service)
    _add_pages(app, service)
    return Guard(app, service, frozenset(str(getattr(route, "path", "")) for route in app.routes))


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/predict", response_model=shapes.Answered, summary="Predict one text.")
    async def predict(ask: shapes.Ask) -> dict[str, Any]:
        model = service.model(ask.model)
        (one,) = await _answers(service, model, [ask.text])
        return shapes.answered(model.name, one)

    @app.post("/predict/batch", response_model=shapes.AnsweredBatch, summary="Predict several texts.")
    async def predict_batch(ask: shapes.AskBatch) -> dict[str, Any]:
        model, most = service.model(ask.model), service.settings.texts
        if len(ask.texts) > most:
            raise Refused(413, f"{len(ask.texts):,} texts are more than the {most:,} that one request may hold")
        found = await _answers(service, model, ask.texts)
        return {"model": model.name, "predictions": [shapes.predicted(one.prediction, one.cut) for one in found]}

    @app.post("/attention", response_model=shapes.Looked, summary="Predict one text, and say where the model looked.")
    async def attention(ask: shapes.Ask) -> dict[str, Any]:
        model = service.model(ask.model)
        (text,) = texts_of(model, [ask.text])
        (found,) = await _in_time(service, [service.batcher.look(model, text)])
        service.metrics.label(model.name, found.prediction.label)
        return shapes.looked(model.name, found)


def _add_files(app: FastAPI, service: Service) -> None:
    one_at_a_time = asyncio.Lock()

    @app.post(
        "/predict/file",
        summary=f"Predict the rows of a file ({', '.join(KINDS)}), sent as the body, and get the file back.",
        openapi_extra=_FILE_BODY,
        response_class=Response,
    )
    async def predict_file(
        request: Request,
        name: Annotated[str, Query(description="Name of the file; its ending says what it is.", max_length=255)],
        model: Annotated[str | None, Query(description="Name of a model; the main one else.")] = None,
        text: Annotated[str | None, Query(description="Text column; the one trained on else.")] = None,
        pair: Annotated[str | None, Query(description="Second text column, where pairs are read.")] = None,
        probabilities: Annotated[bool, Query(description="Add the probability of every class.")] = False,
    ) -> Response:
        if one_at_a_time.locked():
            raise Refused(503, "another file is being predicted; send this one in a moment", retry_after="5")
        async with one_at_a_time:
            asked, content = service.model(model), await request.body()
            columns = {"text": text, "pair": pair}
            made = await asyncio.to_thread(predicted_file, service, asked, content, name, columns, probabilities)
        headers = {"content-disposition": f'attachment; filename="{made.name}"', "x-rows": str(made.rows)}
        return Response(made.content, media_type=made.media_type, headers=headers)


def _add_feedback(app: FastAPI, service: Service, keep: Feedback) -> None:
    @app.post("/feedback", response_model=shapes.Noted, summary="Say what the right answer to a text is.")
    async def feedback(told: shapes.Told) -> dict[str, Any]:
        model = service.model(told.model)
        texts_of(model, [told.text])
        check_label(model, told.label)
        await asyncio.to_thread(keep.add, model.name, told.text, told.label, told.prediction)
        if service.learning is not None:
            service.learning.noted()
        return {"noted": True}


def _add_looking_after(app: FastAPI, service: Service) -> None:
    def health(ok: bool) -> JSONResponse:
        plain = {"live": service.batcher.alive, "ready": service.ready, "phase": service.phase.value}
        return JSONResponse(plain, 200 if ok else 503)

    @app.get("/health", response_model=shapes.Health, summary="Does it live, and should it be sent requests?")
    async def both() -> JSONResponse:
        return health(service.ready)

    @app.get("/health/live", response_model=shapes.Health, summary="Does it live? Where not, start it anew.")
    async def live() -> JSONResponse:
        return health(service.batcher.alive)

    @app.get("/health/ready", response_model=shapes.Health, summary="Should it be sent requests?")
    async def ready() -> JSONResponse:
        return health(service.ready)

    @app.get("/metrics", summary="What it counts, as Prometheus reads it.", response_class=Response)
    async def metrics() -> Response:
        content, kind = service.metrics.text()
        return Response(content, headers={"content-type": kind})

    @app.get("/model", summary="What its models are, and what may be asked.")
    async def model() -> dict[str, Any]:
        limits, batching = service.settings.limits, service.settings.batching
        return {
            "models": [one.told() for one in service.models.values()],
            "limits": {
                "body_bytes": limits.body_bytes,
                "file_bytes": limits.file_bytes,
                "file_rows": limits.file_rows,
                "texts": service.settings.texts,
                "seconds": limits.seconds,
                "requests_a_minute": limits.per_minute,
            },
            "batching": {"rows": batching.rows, "wait_ms": batching.wait_ms, "queue_rows": batching.queue_rows},
            "feedback": service.feedback is not None,
            "learning": None if service.learning is None else service.learning.told(),
            "version": __version__,
        }


def _add_pages(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(predict_page())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = docs_page(app.openapi(), token=service.settings.token is not None)
        return HTMLResponse(page, headers={"content-security-policy": DOCS_POLICY})


async def _answers(service: Service, model: Answerer, given: list[Any]) -> list[Answer]:
    found = await _in_time(service, service.batcher.predict(model, texts_of(model, given)))
    for one in found:
        service.metrics.label(model.name, one.prediction.label)
    return found


async def _in_time(service: Service, promises: "list[Future[T]]") -> list[T]:
    """What was promised, or TimeoutError; what has not begun by then is not computed."""
    async with asyncio.timeout(service.settings.limits.seconds):
        return await asyncio.gather(*(asyncio.wrap_future(promise) for promise in promises))
