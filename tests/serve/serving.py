"""A service in this process, behind a real address, and models whose answers are known."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from attnkit.data.schema import Schema
from attnkit.errors import FailedError
from attnkit.serve.answerer import Answerer, Encoded
from attnkit.serve.api import make_app
from attnkit.serve.feedback import Feedback
from attnkit.serve.live import Live
from attnkit.serve.server import gentle_server, listening, url_of
from attnkit.serve.service import Service
from attnkit.serve.settings import Settings
from attnkit.task.base import Prediction
from attnkit.train.shading import Shading

CLASSES = ("even", "odd")


@dataclass
class Counting:
    """Says whether a text has an even or an odd number of words; "fail" fails, and "wait" waits to be let go."""

    name: str = "counting"
    kind: str = "single"
    paired: bool = False
    batchable: bool = True
    batches: list[list[int]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    @property
    def schema(self) -> Schema:
        return Schema(("text", "pair") if self.paired else ("text",), "label", self.kind, CLASSES)

    def encode(self, texts: Sequence[Any]) -> list[Encoded]:
        words = [(" ".join(text) if isinstance(text, tuple) else text).split() for text in texts]
        return [Encoded(one, len(one), 0) for one in words]

    def answer(self, items: Sequence[Encoded]) -> list[Prediction]:
        self.batches.append([item.width for item in items])
        if any("wait" in item.ids for item in items):
            self.began.set()
            assert self.let_go.wait(30)
        if any("fail" in item.ids for item in items):
            raise FailedError("the model's output is not finite")
        if any("crash" in item.ids for item in items):
            raise RuntimeError("crashed over a secret text")
        return [said(item.width) for item in items]

    def look(self, text: Any) -> Shading:
        words = (" ".join(text) if isinstance(text, tuple) else text).split()
        if "crash" in words:
            raise RuntimeError("crashed over a secret text")
        pieces = tuple((word, 1 / len(words)) for word in words)
        return Shading(pieces, said(len(words)), 0)

    def widest(self) -> Encoded:
        return Encoded(["word"] * 10, 10, 0)

    def told(self) -> dict[str, Any]:
        told = {"name": self.name, "source": "test", "kind": self.kind, "classes": list(CLASSES)}
        return {**told, "paired": self.paired, "attention": True}


def said(words: int) -> Prediction:
    """What Counting says of so many words."""
    odd = words % 2
    return Prediction(CLASSES[odd], 0.75, {CLASSES[odd]: 0.75, CLASSES[1 - odd]: 0.25})


@dataclass
class Running:
    """A service that answers, and a client of it."""

    url: str
    service: Service
    server: Any
    client: httpx.Client

    def stop(self) -> None:
        """What a first SIGTERM does."""
        self.server.handle_exit(signal.SIGTERM, None)


@contextmanager
def running(
    models: Answerer | Mapping[str, Answerer],
    settings: Settings | None = None,
    feedback: Feedback | None = None,
    live: Live | None = None,
) -> Iterator[Running]:
    """A service of these models on a free port."""
    held = dict(models) if isinstance(models, Mapping) else {models.name: models}
    service = Service(held, settings or Settings(drain_seconds=0), feedback, live)
    ready = threading.Event()
    with listening("127.0.0.1", 0) as made:
        url = url_of(made)
        server = gentle_server(service, make_app(service), None, ready.set)
        service.start()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [made]})
        thread.start()
        assert ready.wait(60)
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                yield Running(url, service, server, client)
        finally:
            server.handle_exit(signal.SIGTERM, None)
            thread.join(30)
            assert not thread.is_alive()
            service.batcher.stop()
