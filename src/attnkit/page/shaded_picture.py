"""Pictures of where a model looked: texts with their pieces shaded, or 8 x 8 images with the weight of each pixel."""

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.files import write_bytes

_WIDTH_INCHES, _LINE_INCHES, _DOTS = 9.0, 0.34, 150
_LEFT, _RIGHT = 0.02, 0.98
# The ground of a piece that weighs next to nothing cannot be seen, and would cover the edge of the piece before it.
_FAINT = 0.03
_PIXEL = re.compile(r"r(\d)c(\d)x(\d+)")


@dataclass(frozen=True)
class Panel:
    """One text: what is said above it, and its pieces, each with its weight (None: between tokens)."""

    title: str
    pieces: tuple[tuple[str, float | None], ...]


def draw_panels(path: str | os.PathLike[str], panels: Sequence[Panel]) -> Path:
    """Draw the panels below one another as a PNG file."""
    pixels = [_pixels(panel) for panel in panels]
    figure = _images(panels, pixels) if all(grid for grid in pixels) else _texts(panels)
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=_DOTS)
    write_bytes(path, held.getvalue())
    return Path(path)


def _texts(panels: Sequence[Panel]) -> Any:
    from matplotlib.figure import Figure

    rows = [_wrapped(panel) for panel in panels]
    lines = sum(len(wrapped) + 2 for wrapped in rows) - 1
    figure = Figure(figsize=(_WIDTH_INCHES, lines * _LINE_INCHES))
    at = lines - 0.5
    for panel, wrapped in zip(panels, rows, strict=True):
        figure.text(_LEFT, at / lines, panel.title, fontsize=10, fontweight="bold", va="center", parse_math=False)
        heaviest = max((weight for _, weight in panel.pieces if weight is not None), default=0.0)
        for line in wrapped:
            at -= 1
            across = _LEFT
            for piece, weight in line:
                across = _put(figure, across, at / lines, piece, (weight or 0.0) / heaviest if heaviest else 0.0)
        at -= 2
    return figure


def _wrapped(panel: Panel) -> list[list[tuple[str, float | None]]]:
    """Lines of at most as many letters as fit; a monospaced letter is 0.0105 of the width at size 12."""
    most = int((_RIGHT - _LEFT) / _letter_width())
    lines: list[list[tuple[str, float | None]]] = [[]]
    used = 0
    for piece, weight in panel.pieces:
        piece = " ".join(piece.split("\n")).expandtabs(1)
        if used + len(piece) > most and used:
            lines.append([])
            used = 0
            piece = piece.lstrip()
        while len(piece) > most:
            lines[-1].append((piece[:most], weight))
            lines.append([])
            piece = piece[most:]
        if piece:
            lines[-1].append((piece, weight))
            used += len(piece)
    return lines


def _letter_width() -> float:
    # DejaVu Sans Mono is 0.602 em wide; 12 points are 12/72 inch.
    return 0.602 * 12 / 72 / _WIDTH_INCHES


def _put(figure: Any, across: float, height: float, piece: str, share: float) -> float:
    box = (
        {"facecolor": (1.0, 1 - 0.45 * share, 1 - 0.75 * share), "edgecolor": "none", "pad": 1.5}
        if share > _FAINT
        else None
    )
    style = {"family": "DejaVu Sans Mono", "fontsize": 12, "va": "center", "parse_math": False}
    figure.text(across, height, piece, bbox=box, **style)
    return across + len(piece) * _letter_width()


def _pixels(panel: Panel) -> list[tuple[int, int, int, float]]:
    found = [(_PIXEL.fullmatch(piece), weight) for piece, weight in panel.pieces if weight is not None]
    grid = [(int(m[1]), int(m[2]), int(m[3]), weight) for m, weight in found if m and weight is not None]
    return grid if len(grid) == len(found) else []


def _images(panels: Sequence[Panel], pixels: Sequence[list[tuple[int, int, int, float]]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * 3.0, 3.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False)
    for (image, weights), panel, grid in zip(axes, panels, pixels, strict=True):
        ink, looked = ([[0.0] * 8 for _ in range(8)] for _ in range(2))
        for row, column, value, weight in grid:
            ink[row][column], looked[row][column] = value, weight
        image.imshow(ink, cmap="gray_r")
        image.set_title(panel.title, fontsize=9, parse_math=False)
        weights.imshow(looked, cmap="Oranges", vmin=0.0)
        weights.set_title("where it looked", fontsize=9)
        for one in (image, weights):
            one.set_xticks([])
            one.set_yticks([])
    return figure
