"""Tables of figures, as several verbs show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from attnkit.cli.terminal import say, show_table

Figures = Mapping[str, Mapping[str, Any]]
_MOST_CLASSES = 30


def show_figures(columns: Sequence[tuple[str, Figures]], title: str = "") -> None:
    """One line a measure of all classes, one column a model; the first model's figures with their 95 % intervals."""
    (name, first), *others = columns
    names = [measure for measure in first if ":" not in measure]
    rows = [
        (measure.replace("_", " "), _with_interval(first[measure]), *(_figure(held.get(measure)) for _, held in others))
        for measure in names
    ]
    say(title, style="bold")
    show_table(("", name, *(other.replace("_", " ") for other, _ in others)), rows)
    counts = sorted({first[measure]["n"] for measure in names})
    say(f"n = {', '.join(f'{n:,}' for n in counts)}; brackets hold the 95 % bootstrap interval.", style="dim")


def show_classes(figures: Figures) -> None:
    """One line a class, where there are not too many."""
    classes = list(dict.fromkeys(name.split(":", 1)[1] for name in figures if ":" in name))
    kinds = list(dict.fromkeys(name.split(":", 1)[0] for name in figures if ":" in name))
    if not classes:
        return
    if len(classes) > _MOST_CLASSES:
        say(f"Figures of each of the {len(classes)} classes: see metrics.json, or --json.")
        return
    rows = [(name, *(_with_interval(figures.get(f"{kind}:{name}")) for kind in kinds)) for name in classes]
    show_table(("class", *(kind.replace("_", " ") for kind in kinds)), rows)


def _with_interval(figure: Mapping[str, Any] | None) -> str:
    return f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]" if figure else ""


def _figure(figure: Mapping[str, Any] | None) -> str:
    return f"{figure['value']:.4f}" if figure else ""


def show_pretrained(run: Any) -> None:
    """The figures of a finished language model, where it is, and what to do next."""
    metrics = run.metrics
    say("")
    show_figures([("this model", metrics["validation"])], title="Measured on the held-out texts")
    say(f"The run is in {run.path} ({run.machine['seconds'] / 60:.1f} minutes)", "Next:")
    say(f"  attn train DATA --from {run.path}")


def show_run(run: Any) -> None:
    """The figures of a finished run, where it is, and what to do next."""
    metrics = run.metrics
    part = "test" if metrics["test"] else "validation"
    others = [(one["name"], one["measures"]) for one in metrics["baselines"]]
    say("")
    show_figures([("this model", metrics[part]), *others], title=f"Measured on the {part} rows")
    for other in metrics.get("tasks", ()):
        show_figures([(other["name"], other[part] or other["validation"])], title=f"The task {other['name']}")
    if metrics.get("folds"):
        folds = metrics["folds"]
        say(
            f"{metrics['select']} over the folds: mean {folds['mean']:.4f}, standard deviation {folds['deviation']:.4f}"
        )
    say(f"{metrics['protocol']}.", style="dim")
    say(
        "",
        f"The run is in {run.path} ({run.machine['seconds'] / 60:.1f} minutes); its page is {run.path / 'report.html'}",
    )
    say("Next:", f'  attn predict {run.path} "..."', f"  attn evaluate {run.path}")
