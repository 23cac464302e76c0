"""Options and tables of what is shipped and verified."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.terminal import say, show_table

Budget = Annotated[
    float | None,
    Parameter(help="Most that logits may differ, as a share of the largest; that of the precision where left out."),
]
Floor = Annotated[float | None, Parameter(help="Least the measure may be on the evaluation rows (of errors, most).")]
MaxLoss = Annotated[
    float | None, Parameter(help="Most of the measure that may be lost (of errors, as a share); 0.01 where left out.")
]
Rows = Annotated[int, Parameter(help="Most evaluation rows to measure (0: all).")]
MeasuredOn = Annotated[Path | None, Parameter(help="Labeled data to measure on; the run's test rows where left out.")]

ToolsEnv = Annotated[
    Path | None, Parameter(help="Environment with the tools of litert or executorch, which clash with ours.")
]

AllowProgram = Annotated[
    bool, Parameter(name="--allow-code", help="Open a program of torch, which can execute code.", show_default=False)
]


def default_out(run: Path, to: str) -> Path:
    """Where a run is shipped to when nothing is said: into the folder one stands in."""
    name = run.absolute().name
    return Path(f"{name}.pyz") if to == "bundle" else Path(f"{name}-{to}")


def show_shipped(shipped: Any) -> None:
    """How it compares, where it is, and what to do next."""
    show_verified(shipped.verification)
    made = shipped.contract.made
    say(f"Shipped to {shipped.path}: {shipped.contract.target}, {shipped.contract.precision}, "
        f"{made['bytes'] / 2**20:.1f} MiB", style="bold")  # fmt: skip
    say("Next:")
    if shipped.path.suffix == ".pyz":
        say(f'  python {shipped.path} "a text"', "  (with pip install onnxruntime tokenizers numpy, and nothing else)")
    tools = " --tools-env ..." if made.get("tools") else ""
    say(f"  attn verify {shipped.path}{tools}")


def show_verified(found: Any) -> None:
    """One line a case, and the measure on both sides."""
    rows = [
        (one.name, str(one.rows), str(one.tokens), f"{one.largest:.1e}", f"{one.allowed:.1e}", str(one.changed))
        for one in found.compared
    ]
    say("Beside its run:", style="bold")
    show_table(("texts", "rows", "longest", "difference", "allowed", "labels changed"), rows)
    if found.of_run is None:
        say(f"The measure was {found.protocol}.", style="dim")
        return
    figures = [
        (side, f"{one.value:.4f} [{one.low:.4f}, {one.high:.4f}]")
        for side, one in (("run", found.of_run), ("as shipped", found.of_artefact))
    ]
    show_table(("", found.measure.replace("_", " ")), figures)
    say(f"n = {found.of_run.n:,}: {found.protocol}; {found.changed_rows:,} labels changed.", style="dim")
