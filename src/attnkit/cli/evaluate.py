"""attn evaluate: measure a run again, or on other data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.results import show_classes, show_figures
from attnkit.cli.terminal import show_json


def evaluate(
    run: Annotated[Path, Parameter(help="Run directory.")],
    data: Annotated[Path | None, Parameter(help="Labeled data; the run's own test rows where left out.")] = None,
    /,
    *,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Measure a trained model on its own test rows, read again, or on other labeled data.

    For example:

        attn evaluate runs/2026-11-22-reviews
        attn evaluate runs/2026-11-22-reviews new_reviews.csv --json
    """
    from attnkit.train.evaluation import evaluate as measure
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    found = measure(run, data, allow_code=allow_code, task=task)
    figures = {name: figure.to_dict() for name, figure in found.measures.items()}
    if json:
        confusion = found.confusion.to_dict() if found.confusion else None
        show_json({"run": str(run), "protocol": found.protocol, "measures": figures, "confusion": confusion})
        return
    show_figures([(run.name, figures)], title=f"Measured on {found.protocol}")
    show_classes(figures)
