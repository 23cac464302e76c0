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
from attnkit.see.asked import Picked

BUDGET = "1.5MB"
EVERYTHING = Picked()
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
    picked: Picked = EVERYTHING,
    *,
    budget: str | None = None,
    second: Capture | None = None,
) -> Path:
    """Write a capture, or two side by side, as a page, a file or a figure.

    Raises: UsageError where what is picked is not there, or the budget is no size; FailedError where it does not fit.
    """
    statistic = picked.checked(capture)
    try:
        most = size_bytes(budget or BUDGET)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        if path.suffix.lower() == ".html":
            focus = None if picked.layer is None or picked.head is None else (picked.layer, picked.head)
            write_text(path, atlas_page(capture, second, budget_bytes=most, focus=focus))
        elif path.suffix.lower() == ".attn":
            save(capture, path, most)
        else:
            draw(capture, path, layer=picked.layer, head=picked.head, statistic=statistic, second=second)
    except ValueError as error:
        raise FailedError(str(error).replace("budget_bytes", "the budget")) from None
    return path


def rendered(capture: Capture, width: int | None, color: bool, picked: Picked = EVERYTHING) -> str:
    """The capture as text.

    Raises: UsageError where what is picked is not there.
    """
    statistic = picked.checked(capture)
    beside = [name for name in ("entropy", "distance", "sink") if name != statistic]
    shown = (statistic, *beside[:2])
    return show(capture, width, color=color, statistics=shown, layer=picked.layer, head=picked.head)


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
