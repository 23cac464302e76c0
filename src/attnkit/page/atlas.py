"""The atlas of a capture: one self-contained page with every layer and head, its maps and its text."""

import base64
from importlib.resources import files

from attnkit.capture.captured import Capture
from attnkit.capture.statistics import STATISTICS
from attnkit.page.assemble import filled, program, style_sheet
from attnkit.page.atlas_data import Blob, capture_data

# In the order in which one stands on the other.
SCRIPTS = (
    "decode", "numbers", "colors", "words", "state", "model", "canvas", "atlas", "heatmap", "text", "minimap",
    "patches", "shading", "details", "explain", "about", "reading", "controls", "main",
)  # fmt: skip
STYLES = ("theme", "page", "parts", "print")
_WEB = files("attnkit.page") / "web"


def atlas_page(
    capture: Capture,
    second: Capture | None = None,
    *,
    budget_bytes: int = 1_500_000,
    title: str | None = None,
    focus: tuple[str, int] | None = None,
) -> str:
    """One HTML file that shows a capture, or two beside each other, and asks nothing of any network.

    The page holds the figures per head exactly; pooled maps, statistics per token and the heaviest edges are rounded or
    thinned until the file has at most `budget_bytes`, and the page says what was left out. `focus` names a layer and a
    head whose whole map should be in the page, which takes a capture of level "full".

    Raises: ValueError where the budget does not even hold the program and the figures per head, where there is no
    layer, or where `focus` names none.
    Cost: the time to deflate what is kept, a few times over.
    """
    captures = [capture] if second is None else [capture, second]
    for one in captures:
        if not one.layers:
            raise ValueError("the capture holds no layer, so there is nothing to draw; capture a model that attends")
    if focus is not None and not 0 <= focus[1] < capture.layer(focus[0]).heads:
        raise ValueError(f"layer {focus[0]!r} has heads 0 to {capture.layer(focus[0]).heads - 1} and not {focus[1]}")
    named = title or capture.title or "Attention atlas"
    frame = _fill(_read("page.html"), named, "")
    blob = Blob()
    # The rest is for base64's line ends and for the JSON that says where the chunks lie.
    room = (budget_bytes - len(frame.encode())) * 3 // 4
    header = {"title": named, "statistics": _statistics(captures), "captures": list[object]()}
    for n, one in enumerate(captures):
        left = (room - blob.size) // (len(captures) - n)
        header["captures"].append(capture_data(one, blob, max(0, left * 97 // 100), focus))  # type: ignore[attr-defined]
    page = _fill(_read("page.html"), named, base64.b64encode(blob.bytes(header)).decode())
    size = len(page.encode())
    if size > budget_bytes:
        raise ValueError(
            f"a page of {sum(len(one.layers) for one in captures)} layers takes at least {size:,} bytes and "
            f"budget_bytes is {budget_bytes:,}; allow {size:,}, or capture fewer heads or statistics"
        )
    return page


def script() -> str:
    """The page's program."""
    return program(_WEB, SCRIPTS)


def style() -> str:
    """The page's style sheet."""
    return style_sheet(_WEB, STYLES)


def _fill(frame: str, title: str, data: str) -> str:
    return filled(frame, title, script(), style(), data=data)


def _read(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


def _statistics(captures: list[Capture]) -> list[dict[str, str]]:
    """What the page says of each statistic that some layer has, in the order of STATISTICS."""
    there = {name for capture in captures for layer in capture.layers for name in layer.statistics}
    told = [
        {"name": name, "title": one.title, "axis": one.axis, "unit": one.unit, "doc": one.doc}
        for name, one in STATISTICS.items()
        if name in there
    ]
    known = {one["name"] for one in told}
    return told + [
        {"name": name, "title": name.replace("_", " "), "axis": "", "unit": "", "doc": ""}
        for name in sorted(there - known)
    ]
