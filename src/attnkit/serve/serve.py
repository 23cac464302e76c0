"""serve(...): open models and answer requests until told to stop."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.allocator import keep_few_kernels, keep_freed_memory
from attnkit.serve.feedback import Feedback
from attnkit.serve.library import check_installed
from attnkit.serve.live import Live
from attnkit.serve.log import said, to_standard_error
from attnkit.serve.models import open_models
from attnkit.serve.service import Service
from attnkit.serve.settings import Batching, Limits, Settings
from attnkit.serve.token import VARIABLE, read_token

# Requests a minute that one client may ask where others than this machine may, and nothing was said.
RATE_ELSEWHERE = 600


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    batching: Batching | None = None,
    limits: Limits | None = None,
    rate: int | None = None,
    token_file: Path | None = None,
    proxy: str | None = None,
    drain_seconds: float = 1.0,
    learn: Path | None = None,
    live: Live | None = None,
    task: str | None = None,
    allow_code: bool = False,
    announce: Callable[[str, Service], None],
) -> None:
    """Answer requests about the models at `paths`, the main one first; `announce` is told the address once it answers.

    `rate` is how often one client may ask in a minute; where left out, as often as it likes on this machine, and 600
    times from others, as those behind a `proxy` are. Right answers are appended to `learn`; `live` is the main model,
    learning from that file.

    Raises: UsageError where a model cannot be opened, the port is taken, or others could ask without a token.
    """
    check_installed()
    from attnkit.serve.server import is_local, listening, run, url_of

    token = read_token(token_file)
    # Behind a proxy whoever reaches the proxy asks, wherever the service itself listens.
    local = is_local(host) and proxy is None
    if token is None and not local:
        said_so = f"--host {host}" if proxy is None else f"--proxy {proxy}"
        raise UsageError(
            f"{said_so} lets other machines ask, which takes a token: give --token-file FILE, or set {VARIABLE}"
        )
    per_minute = rate if rate is not None else 0 if local else RATE_ELSEWHERE
    asked = replace(limits or Limits(), per_minute=per_minute)
    settings = Settings(batching or Batching(), asked, token, local, drain_seconds)
    made = listening(host, port)
    try:
        keep_freed_memory()
        keep_few_kernels()
        models = open_models(paths, task=task, allow_code=allow_code, live=live)
        service = Service(models, settings, None if learn is None else Feedback(learn), live)
    except BaseException:
        made.close()
        raise
    to_standard_error()

    def ready() -> None:
        url = url_of(made)
        said("serving", url=url, models=list(service.models), token=token is not None, requests_a_minute=per_minute)
        announce(url, service)

    run(service, made, proxy=proxy, ready=ready)
