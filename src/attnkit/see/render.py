"""What was seen, in the form that a file's name asks for, or as text for the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.file import save
from attnkit.capture.size import size_bytes
from attnkit.errors import FailedError, UsageError
from attnkit.files import write_text
from attnkit.page.atlas import atlas_page
from attnkit.page.figure import draw
from attnkit.page.numbers import means_of
from attnkit.page.terminal import show

PAGE_BYTES = 1_500_000
FIGURES = (".png", ".svg", ".pdf")
ENDINGS = (".html", ".attn", *FIGURES)


def check_outs(paths: Sequence[Path], force: bool) -> list[Path]:
    """The files to write, once nothing stands in their way.

    Raises: UsageError where an ending is unknown, a folder is missing, or a file is there and `force` is not given.
    """
    for path in paths:
        if path.suffix.lower() not in ENDINGS:
            raise UsageError(f"{path} has no ending that says what to write; name a file that ends in {_listed()}")
        if path.is_dir():
            raise UsageError(f"--out names a folder, {path}; name a file")
        if path.exists() and not force:
            raise UsageError(f"{path} already exists; choose another name with --out, or add --force")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {path.absolute().parent} to write {path.name} into; make it first")
    if force and not paths:
        raise UsageError("--force replaces the file of --out and does nothing without it; leave it out, or give --out")
    return list(paths)


def write(
    capture: Capture,
    path: Path,
    *,
    budget: str | None = None,
    statistic: str = "entropy",
    layer: str | None = None,
    head: int | None = None,
    second: Capture | None = None,
) -> Path:
    """Write a capture, or two side by side, as a page, a file or a figure.

    Raises: UsageError where the layer, head or statistic is not there; FailedError where it does not fit the budget.
    """
    try:
        most = None if budget is None else size_bytes(budget)
        if path.suffix.lower() == ".html":
            focus = None if layer is None or head is None else (layer, head)
            page = atlas_page(capture, second, budget_bytes=PAGE_BYTES if most is None else most, focus=focus)
            write_text(path, page)
        elif path.suffix.lower() == ".attn":
            save(capture, path, most)
        else:
            draw(capture, path, layer=layer, head=head, statistic=statistic, second=second)
    except (ValueError, KeyError) as error:
        sentence = error.args[0] if error.args else str(error)
        raise (FailedError if "budget" in str(sentence) else UsageError)(str(sentence)) from None
    return path


def rendered(
    capture: Capture,
    width: int | None,
    color: bool,
    *,
    statistic: str = "entropy",
    layer: str | None = None,
    head: int | None = None,
) -> str:
    """The capture as text.

    Raises: UsageError where the layer, head or statistic is not there.
    """
    beside = [name for name in ("entropy", "distance", "sink") if name != statistic]
    try:
        return show(capture, width, color=color, statistics=(statistic, *beside[:2]), layer=layer, head=head)
    except (ValueError, KeyError) as error:
        raise UsageError(str(error.args[0])) from None


def summary(capture: Capture, written: Sequence[Path]) -> dict[str, Any]:
    """The capture as plain data: every layer with the mean of each statistic a head, its check and roles."""
    return {
        "title": capture.title,
        "notes": capture.notes,
        "layers": [_layer(layer) for layer in capture.layers],
        "out": [str(path) for path in written],
    }


def _layer(layer: CapturedLayer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "operator": layer.operator,
        "queries": layer.T,
        "keys": layer.S,
        "heads": layer.heads,
        "check": {"error": layer.check.error, "rows": layer.check.rows, "reason": layer.check.reason},
        "means": {name: means_of(layer, name) for name in layer.statistics},
        "undefined": layer.undefined,
        "roles": layer.roles,
    }


def _listed() -> str:
    return ", ".join(ENDINGS[:-1]) + f" or {ENDINGS[-1]}"
