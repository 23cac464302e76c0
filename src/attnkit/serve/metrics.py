"""What a service counts, as Prometheus reads it."""

from collections.abc import Callable
from typing import Any

from attnkit.serve.batcher import Computed

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# A label of a metric is held for ever, so classes beyond these are counted together.
_MOST_CLASSES = 100


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            ProcessCollector,
            disable_created_metrics,
        )

        # When a series began is of no use here, and doubles what is held and sent.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        to: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("attn_requests", "Requests answered.", ["path", "status"], **to)
        self._seconds = Histogram("attn_request_seconds", "From request to answer.", ["path"], buckets=_SECONDS, **to)
        self._rows = Histogram("attn_batch_rows", "Texts of one computation.", ["model"], buckets=_ROWS, **to)
        self._computing = Counter("attn_compute_seconds", "Seconds of computing.", ["model"], **to)
        self._tokens = Counter("attn_tokens", "Tokens read.", ["model"], **to)
        self._padded = Counter("attn_padded_tokens", "Tokens computed, padding included.", ["model"], **to)
        self._labels = Counter("attn_predictions", "Predictions by label.", ["model", "label"], **to)
        self._known: dict[str, set[str]] = {}
        Gauge("attn_queue_rows", "Texts that wait.", **to).set_function(waiting)
        Gauge("attn_requests_in_flight", "Requests that are being answered.", **to).set_function(in_flight)
        ProcessCollector(registry=self.registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def computed(self, one: Computed) -> None:
        """Count a computation."""
        self._rows.labels(one.model).observe(one.rows)
        self._computing.labels(one.model).inc(one.seconds)
        self._tokens.labels(one.model).inc(one.tokens)
        self._padded.labels(one.model).inc(one.padded)

    def label(self, model: str, label: object) -> None:
        """Count a predicted class; of sets each of its classes, of scores nothing."""
        names = label if isinstance(label, tuple) else (label,) if isinstance(label, str) else ()
        known = self._known.setdefault(model, set())
        for name in names:
            if name not in known and len(known) >= _MOST_CLASSES:
                name = "(others)"
            known.add(name)
            self._labels.labels(model, name).inc()

    def text(self) -> tuple[bytes, str]:
        """All of it as text, and the text's media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
