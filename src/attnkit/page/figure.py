"""Figures for papers: the atlas of layers and heads, the maps of a layer, one head; as PNG, SVG or PDF."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.statistics import STATISTICS, Statistic
from attnkit.files import write_bytes
from attnkit.page.figure_map import Map, label_tokens, map_of, map_panel, token_line
from attnkit.page.letters import cut, drawable, plain_letters, short_name
from attnkit.page.numbers import color_range, known, means, real_values

ENDINGS = ("png", "svg", "pdf")
_DOTS = 150
# Both are even in brightness and read alike by eyes that do not tell red from green.
_COLORS, _SIGNED_COLORS = "viridis", "PuOr_r"
_GROUND = "0.85"
_BOX_COLOR = "#3b6a9c"
# The numbers stand in the cells where there are so few heads.
_MOST_NUMBERED = 16
_LONGEST_NAME = 34
_ORDER = ("first", "second")
# Fixed, so that the same capture gives the same bytes.
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "Producer": None}}


def draw(
    capture: Capture,
    path: str | os.PathLike[str],
    *,
    layer: str | None = None,
    head: int | None = None,
    statistic: str = "entropy",
    second: Capture | None = None,
    item: int = 0,
) -> Path:
    """Draw a capture into a file whose ending says how: .png, .svg or .pdf.

    Without `layer`: every layer and head colored by the mean of `statistic` over real tokens, and how each layer's
    tokens are spread. With `layer`: the pooled maps of its heads. With `layer` and `head`: that map, the tokens beside
    it where they fit, and the statistic token by token. `second` is drawn beside it, with the difference of the means.
    Maps and tokens are those of `item` of the batch. Tokens that the font has no letters for are numbered, which the
    figure says.

    Raises: ValueError where the ending, the statistic, the head or the item is none that there is, or the layer has
        nothing to draw; KeyError where there is no such layer; OSError where the folder cannot be written.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        named = f"ends in .{ending}" if ending else "has no ending"
        raise ValueError(f"{os.fspath(path)} {named}; a figure is drawn as .png, .svg or .pdf")
    known(statistic)
    captures = [capture] if second is None else [capture, second]
    for one in captures:
        if not one.layers:
            raise ValueError("the capture holds no layer, so there is nothing to draw; capture a model that attends")
    if layer is None:
        if head is not None:
            raise ValueError(f"head {head} of which layer? say layer=")
        figure = _atlas(captures, statistic)
    else:
        layers = [one.layer(layer) for one in captures]
        for each in layers:
            _check_there(each, head, item)
        if head is None:
            figure = _heads(captures, layers, item)
        else:
            figure = _head(captures, layers, head, statistic, item)
    return _saved(figure, path, ending)


def _saved(figure: Any, path: str | os.PathLike[str], ending: str) -> Path:
    import matplotlib

    held = io.BytesIO()
    # Ids of an SVG are made of this in place of a random number; letters stay letters.
    with matplotlib.rc_context({"svg.hashsalt": "attnkit", "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(held, format=ending, dpi=_DOTS, metadata=_METADATA[ending])
    write_bytes(path, held.getvalue())
    return Path(path)


def _check_there(layer: CapturedLayer, head: int | None, item: int) -> None:
    if head is not None and not 0 <= head < layer.heads:
        raise ValueError(f"layer {layer.name!r} has heads 0 to {layer.heads - 1}; got head={head}")
    if not 0 <= item < layer.batch:
        raise ValueError(f"layer {layer.name!r} has items 0 to {layer.batch - 1}; got item={item}")


def figure_of(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _atlas(captures: list[Capture], statistic: str) -> Any:
    told = STATISTICS[statistic]
    grids = [means(one, statistic) for one in captures]
    if not any(np.isfinite(grid).any() for grid in grids):
        reasons = {reason for one in captures for layer in one.layers for reason in _reason(layer, statistic)}
        why = f": {'; '.join(sorted(reasons))}" if reasons else ""
        raise ValueError(f"no layer has the statistic {statistic!r}{why}; choose another")
    shapes = {grid.shape for grid in grids}
    compared = len(grids) == 2 and len(shapes) == 1
    if len(grids) == 2 and not compared:
        raise ValueError(f"two captures of different layers and heads {sorted(shapes)} have no difference; draw each")
    rows, heads = grids[0].shape
    panels = 3 if compared else 1
    height = min(max(2.6, 0.26 * rows + 1.3), 40.0)
    across = min(max(3.6, 0.34 * heads + 1.2), 12.0)
    figure = figure_of(min(across * panels + 1.8 + (0 if compared else 3.4), 40.0), height)
    axes = figure.subplots(1, panels if compared else 2, width_ratios=[1] * panels if compared else [across, 3.4])
    figure.suptitle(_titled(captures, f"{told.title} by layer and head"), fontsize=11, parse_math=False)
    low, high = color_range(np.concatenate([grid.ravel() for grid in grids]))
    names = [_name(one.name) for one in captures[0].layers]
    titles = [f"{order}: {plain_letters(cut(one.title, 36))}" for order, one in zip(_ORDER, captures, strict=False)]
    for n, grid in enumerate(grids):
        shown = _grid(figure, axes[n], grid, names if n == 0 else None, (low, high), _COLORS)
        if compared:
            axes[n].set_title(titles[n], fontsize=9, parse_math=False)
    _bar(figure, shown, axes[: len(grids)], _unit(told))
    if compared:
        change = grids[1] - grids[0]
        most = float(np.nanmax(np.abs(change))) if np.isfinite(change).any() else 1.0
        shown = _grid(figure, axes[2], change, None, (-(most or 1.0), most or 1.0), _SIGNED_COLORS)
        axes[2].set_title("second less first", fontsize=9)
        _bar(figure, shown, axes[2], _unit(told))
    else:
        _spread(axes[1], captures[0], told)
    return figure


def _grid(figure: Any, axes: Any, grid: Any, names: list[str] | None, span: tuple[float, float], colors: str) -> Any:
    axes.set_facecolor(_GROUND)
    shown = axes.imshow(grid, cmap=colors, vmin=span[0], vmax=span[1], aspect="auto", interpolation="nearest")
    rows, heads = grid.shape
    step = max(1, -(-heads // 16))
    axes.set_xticks(range(0, heads, step))
    axes.tick_params(labelsize=7, length=2)
    axes.set_xlabel("head", fontsize=8)
    skip = max(1, -(-rows // 48))
    axes.set_yticks(range(0, rows, skip))
    if names is None:
        axes.set_yticklabels([])
    else:
        axes.set_yticklabels(names[::skip], fontsize=7, parse_math=False)
    if heads <= _MOST_NUMBERED and rows <= 48:
        _number_cells(axes, grid, shown)
    return shown


def _number_cells(axes: Any, grid: Any, shown: Any) -> None:
    for (row, head), value in np.ndenumerate(grid):
        if np.isfinite(value):
            red, green, blue, _ = shown.to_rgba(value)
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
            axes.text(head, row, short_number(value), ha="center", va="center", fontsize=6, color=ink)


def short_number(value: float) -> str:
    """A number in at most four letters beside its sign, where that is possible."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 99_500 or size < 0.0005:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    if size >= 999.5:
        return f"{value / 1000:.3g}k" if size < 9_995 else f"{value / 1000:.0f}k"
    digits = 0 if size >= 99.5 else 1 if size >= 9.95 else 2
    words = f"{value:.{digits}f}" if size >= 0.01 else f"{value:.3f}"
    return words.replace("0.", ".", 1) if size < 1 else words


def _spread(axes: Any, capture: Capture, told: Statistic) -> None:
    """A box a layer: the middle half of all tokens of all heads, whiskers at 5 and 95 %."""
    held = [real_values(layer, told.name) for layer in capture.layers]
    boxes = [
        (row, values[np.isfinite(values)])
        for row, heads in enumerate(held)
        if heads
        for values in [np.concatenate(heads)]
    ]
    boxes = [(row, values) for row, values in boxes if values.size]
    color = {"color": _BOX_COLOR}
    axes.boxplot(
        [values for _, values in boxes],
        positions=[row for row, _ in boxes],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        widths=0.6,
        boxprops=color,
        whiskerprops=color,
        capprops=color,
        medianprops={"color": "black"},
        manage_ticks=False,
    )
    axes.set_ylim(len(capture.layers) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.set_xlabel(_unit(told), fontsize=8)
    axes.set_title(f"all {'keys' if told.axis == 'key' else 'queries'} of a layer", fontsize=9)
    axes.grid(axis="x", color=_GROUND, linewidth=0.6)
    axes.set_axisbelow(True)


def _heads(captures: list[Capture], layers: list[CapturedLayer], item: int) -> Any:
    panels = [
        (n, head)
        for head in range(max(one.heads for one in layers))
        for n, one in enumerate(layers)
        if head < one.heads
    ]
    maps = [[map_of(one, head, item) for head in range(one.heads)] for one in layers]
    across = min(len(panels), 4 if len(layers) == 1 else 2 * (2 if len(panels) > 4 else 1))
    down = -(-len(panels) // across)
    figure = figure_of(2.5 * across + 1.0, min(2.6 * down + 0.8, 200.0))
    axes = figure.subplots(down, across, squeeze=False)
    figure.suptitle(_titled(captures, f"maps of {_name(layers[0].name)}"), fontsize=11, parse_math=False)
    for one, (n, head) in zip(axes.flat, panels, strict=False):
        words = f"head {head}" if len(layers) == 1 else f"head {head}, {_ORDER[n]}"
        _bar(figure, map_panel(one, maps[n][head], words, _brightest(maps, head)), one, "")
    for one in list(axes.flat)[len(panels) :]:
        one.set_axis_off()
    return figure


def _head(captures: list[Capture], layers: list[CapturedLayer], head: int, statistic: str, item: int) -> Any:
    told = STATISTICS[statistic]
    figure = figure_of(6.6 * len(layers) + 0.4, 8.4)
    axes = figure.subplots(2, len(layers), height_ratios=[3.4, 1], squeeze=False)
    title = f"{_name(layers[0].name)}, head {head}"
    figure.suptitle(_titled(captures, title), fontsize=11, parse_math=False)
    numbered = False
    maps = [[map_of(one, head, item)] for one in layers]
    for n, (capture, one) in enumerate(zip(captures, layers, strict=True)):
        shown = map_panel(axes[0, n], maps[n][0], "" if len(layers) == 1 else _ORDER[n], _brightest(maps, 0))
        _bar(figure, shown, axes[0, n], "weight")
        numbered |= label_tokens(axes[0, n], capture, one, item)
        numbered |= token_line(axes[1, n], capture, one, head, told, item)
        axes[1, n].set_ylabel(_unit(told), fontsize=8)
    if numbered:
        figure.supxlabel("Tokens are numbered: the font has no letters for some of them.", fontsize=8)
    return figure


def _brightest(maps: list[list[Map]], head: int) -> float:
    """The largest weight of the maps that stand side by side: they share their colors."""
    most = max((one[head].most for one in maps if head < len(one)), default=0.0)
    # Rows sum to one up to rounding; a scale that ends a hair above has two labels there.
    return 1.0 if most <= 0.0 or abs(most - 1.0) < 1e-5 else most


def _bar(figure: Any, shown: Any, beside: Any, label: str) -> None:
    bar = figure.colorbar(shown, ax=beside, shrink=0.9, pad=0.02)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(label, fontsize=8)


def _reason(layer: CapturedLayer, statistic: str) -> list[str]:
    return [layer.undefined[statistic]] if statistic in layer.undefined else []


def _unit(told: Statistic) -> str:
    return f"{told.title.lower()} ({told.unit})" if told.unit not in told.title.lower() else told.title.lower()


def _titled(captures: list[Capture], words: str) -> str:
    said = " and ".join(dict.fromkeys(plain_letters(one.title) for one in captures if one.title))
    whole = f"{cut(said, 60)}: {words}" if said and drawable([said]) else words
    return whole


def _name(name: str) -> str:
    """A layer's name where there is little room, in letters that the font has."""
    short = short_name(name, _LONGEST_NAME)
    return short if drawable([short]) else short.encode("ascii", "backslashreplace").decode()
