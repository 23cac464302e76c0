"""attn serve: answer requests about a model, by HTTP and on a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.serving import announcement, live_learner


def serve(
    model: Annotated[Path, Parameter(help="Run directory, folder shipped to ONNX, or .pyz bundle.")],
    /,
    *,
    also: Annotated[list[Path] | None, Parameter(help="Another model beside it; may be given several times.")] = None,
    host: Annotated[
        str, Parameter(help="Address to listen at; others than this machine's take a token.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port; 0 is a free one.")] = 8000,
    token_file: Annotated[Path | None, Parameter(help="File that holds the token clients must send.")] = None,
    batch_rows: Annotated[int, Parameter(help="Most texts computed together; 1 turns batching off.")] = 32,
    wait_ms: Annotated[float, Parameter(help="How long a text waits for others, in milliseconds.")] = 2.0,
    queue_rows: Annotated[int, Parameter(help="Most texts that wait; beyond them the answer is 503.")] = 1024,
    rate: Annotated[
        int | None, Parameter(help="Requests a minute from one client; 0 is no limit. Else 600, and here no limit.")
    ] = None,
    timeout: Annotated[float, Parameter(help="Most seconds until an answer.")] = 30.0,
    max_body: Annotated[str, Parameter(help="Most bytes of a request, such as 1MiB.")] = "1MiB",
    max_file: Annotated[str, Parameter(help="Most bytes of a file to predict.")] = "10MiB",
    drain: Annotated[float, Parameter(help="Seconds to go on answering once told to stop.")] = 1.0,
    proxy: Annotated[str | None, Parameter(help="Address of a proxy whose word on who asks is taken.")] = None,
    learn: Annotated[Path | None, Parameter(help="File that right answers are appended to.")] = None,
    learner: Annotated[Path | None, Parameter(help="Folder of a learner: learn from that file meanwhile.")] = None,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Serve a trained model until Ctrl-C or SIGTERM: predictions in batches, where it looked, and a page to try it on.

    For example:

        attn serve runs/2026-11-22-reviews
        attn serve runs/2026-11-22-reviews --also runs/2026-11-23-reviews --port 9000
        attn serve runs/2026-11-22-reviews --host 0.0.0.0 --token-file token.txt --rate 300
        curl --json '{"text": "What a film!"}' http://127.0.0.1:8000/predict
    """
    from attnkit.serve.serve import serve as run
    from attnkit.serve.settings import Batching, Limits, bytes_of
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    run(
        [model, *(also or [])],
        host=host,
        port=port,
        batching=Batching(batch_rows, wait_ms, queue_rows=queue_rows),
        limits=Limits(bytes_of("--max-body", max_body), bytes_of("--max-file", max_file), seconds=timeout),
        rate=rate,
        token_file=token_file,
        proxy=proxy,
        drain_seconds=drain,
        learn=learn,
        live=live_learner(model, learn, learner, task, allow_code),
        task=task,
        allow_code=allow_code,
        announce=announcement(json),
    )
