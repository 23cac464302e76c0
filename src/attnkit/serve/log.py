"""One line of JSON an event on standard error: when, what, how long; never a text."""

import datetime
import json
import logging
import sys
from typing import Any

_LOGGER = "attnkit.serve"


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        plain: dict[str, Any] = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        plain |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            # The kind of an error and where it rose; its words may quote a text.
            trace, frames = record.exc_info[2], []
            while trace is not None:
                frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
                trace = trace.tb_next
            plain |= {"error": record.exc_info[0].__name__, "at": frames[-5:]}
        return json.dumps(plain, ensure_ascii=True, default=str)


def to_standard_error() -> None:
    """Let what a service and its HTTP server say go to standard error as JSON, from this call on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    for name in (_LOGGER, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        # What the HTTP server says of its own coming and going is said by the service.
        logger.setLevel(logging.INFO if name == _LOGGER else logging.WARNING)


def said(event: str, level: int = logging.INFO, trouble: BaseException | None = None, **fields: Any) -> None:
    """Log one event with its fields; `trouble` adds its kind and where it rose."""
    info = None if trouble is None else (type(trouble), trouble, trouble.__traceback__)
    logging.getLogger(_LOGGER).log(level, event, extra={"fields": fields}, exc_info=info)
