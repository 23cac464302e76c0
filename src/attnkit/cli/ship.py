"""attn ship: a run as files that predict elsewhere, written only when they answer as the run does."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import Force, Json
from attnkit.cli.shipments import Budget, Floor, MaxLoss, MeasuredOn, Rows, ToolsEnv, show_shipped
from attnkit.cli.terminal import say, show_json


def ship(
    run: Annotated[Path, Parameter(help="Run directory.")],
    /,
    *,
    to: Annotated[
        Literal["onnx", "torch", "bundle", "litert", "executorch"],
        Parameter(help="All give a folder, but bundle one .pyz file that predicts without attnkit and torch."),
    ] = "onnx",
    out: Annotated[Path | None, Parameter(help="Where to; NAME-TO, or NAME.pyz, where left out.")] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16", "int8"], Parameter(help="What weights are kept in.")
    ] = "float32",
    attention: Annotated[bool, Parameter(help="Give where it looked beside the logits.", show_default=False)] = False,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    budget: Budget = None,
    floor: Floor = None,
    max_loss: MaxLoss = None,
    rows: Rows = 2000,
    data: MeasuredOn = None,
    tools_env: ToolsEnv = None,
    license: Annotated[str | None, Parameter(help="License, for the model card.")] = None,
    intended: Annotated[str | None, Parameter(help="What it is meant for, for the model card.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Export a trained model with its tokenizer, a contract and a model card, once it answers as its run does.

    For example:

        attn ship runs/2026-11-22-reviews --to bundle --out reviews.pyz
        attn ship runs/2026-11-22-reviews --to onnx --precision int8 --out reviews-int8 --max-loss 0.005
        attn ship runs/2026-11-22-reviews --to litert --tools-env edge
    """
    from attnkit.cli.shipments import default_out
    from attnkit.ship.shipping import Wishes, ship

    wishes = Wishes(to, precision, attention, task, budget, floor, max_loss, rows, data, license, intended, tools_env)
    shipped = ship(run, out or default_out(run, to), wishes, force=force, say=(lambda _: None) if json else say)
    if json:
        show_json({"path": str(shipped.path), "verification": shipped.verification.to_dict()})
    else:
        show_shipped(shipped)
