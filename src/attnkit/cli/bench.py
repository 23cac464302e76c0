"""attn bench: every form of a run in one table."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.benched import show_benched
from attnkit.cli.options import Json
from attnkit.cli.shipments import AllowProgram, MeasuredOn
from attnkit.cli.terminal import say, show_json


def bench(
    run: Annotated[Path, Parameter(help="Run directory.")],
    /,
    *,
    forms: Annotated[
        str, Parameter(help="Forms beside eager: compiled, bfloat16, onnx, onnx-int8, litert, executorch.")
    ] = "compiled,bfloat16,onnx,onnx-int8",
    also: Annotated[
        tuple[Path, ...], Parameter(help="Another run (a shrunk child), or what was shipped; may be repeated.")
    ] = (),
    tokens: Annotated[int | None, Parameter(help="Tokens of the texts that are timed; as many as are read.")] = None,
    rows: Annotated[int, Parameter(help="Most evaluation rows to measure.")] = 1000,
    seconds: Annotated[float, Parameter(help="Seconds each form is timed for, one text and 32 at a time.")] = 10.0,
    data: MeasuredOn = None,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    litert_env: Annotated[Path | None, Parameter(help="Environment with the tools of litert.")] = None,
    executorch_env: Annotated[Path | None, Parameter(help="Environment with the tools of executorch.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads of every form; all cores where left out.")] = None,
    allow_code: AllowProgram = False,
    json: Json = False,
) -> None:
    """Hold the forms of a run side by side: size, measure, latency in interleaved rounds, memory.

    For example:

        attn bench runs/2026-11-22-reviews
        attn bench runs/2026-11-22-reviews --also runs/reviews-small --tokens 128 --threads 1
        attn bench runs/2026-11-22-reviews --forms onnx-int8 --json
    """
    from attnkit.ship.bench.bench import bench as hold
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    tools = {name: path for name, path in (("litert", litert_env), ("executorch", executorch_env)) if path is not None}
    found = hold(
        run, wanted=[name.strip() for name in forms.split(",") if name.strip()], also=also, tools=tools, tokens=tokens,
        rows=rows, seconds=seconds, data=data, task=task, allow_code=allow_code, say=(lambda _: None) if json else say,
    )  # fmt: skip
    if json:
        show_json(found.to_dict())
    else:
        show_benched(found)
