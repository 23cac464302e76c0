"""A capture as text for a terminal: layers by heads, roles, and the words with the weight they receive."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.page.letters import columns, cut, padded, plain_letters, short_name, spaced
from attnkit.page.numbers import color_range, known, means, real_values, tokens_of

_DEFAULT_WIDTH = 100
_NARROWEST, _LONGEST_NAME = 40, 28
# A number with a space before it.
_NUMBER_COLUMNS, _SHADE_COLUMNS = 6, 2
# One in so many heads has its number above a column of shades.
_MARKED = 8
_BLOCKS = " ░▒▓█"
_BARS = "▁▂▃▄▅▆▇█"
# The 256 colors' steps from black (or the ground of a token) to a warm light: even in brightness, no red beside green.
_GROUNDS = (17, 18, 24, 30, 36, 72, 114, 150, 186, 229)
_DARK_INK, _LIGHT_INK, _RESET = "\x1b[38;5;16m", "\x1b[38;5;231m", "\x1b[0m"
_FIRST_LIGHT_GROUND = 5
_MOST_TOKENS = 600
_MOST_ROLES = 24
_GRIDS = ("entropy", "distance", "sink")


def show(
    capture: Capture,
    width: int | None = None,
    *,
    color: bool = False,
    layer: str | None = None,
    head: int | None = None,
    statistics: Sequence[str] = _GRIDS,
    item: int = 0,
) -> str:
    """The capture as lines of at most `width` columns (100 where None).

    A grid of layers and heads for each of `statistics` (means over real tokens of all items), the roles that heads got,
    and the text of `item` with what its tokens receive: of `layer` and `head`, or the mean of all of them. With `color`
    the grounds are shaded by 256 colors, which a caller leaves out where NO_COLOR is set or nobody watches; without it
    bars stand before the tokens. No letter of a token or a name reaches the terminal as a command: controls are written
    out. Nothing is cut without a sign of it.

    Raises: ValueError where a statistic or the head is none that there is; KeyError where there is no such layer.
    """
    room = max(_NARROWEST, width or _DEFAULT_WIDTH)
    for statistic in statistics:
        known(statistic)
    layers = capture.layers if layer is None else [capture.layer(layer)]
    if head is not None and (layer is None or not 0 <= head < layers[0].heads):
        wanted = "say layer=" if layer is None else f"it has heads 0 to {layers[0].heads - 1}"
        raise ValueError(f"head {head} of {layer or 'which layer'}? {wanted}")
    parts = [_headline(capture, room)]
    parts += [_grid(capture, statistic, room, color) for statistic in statistics]
    parts.append(_roles(layers, head, room))
    parts.append(_text(capture, layers, head, room, color, item))
    parts.append("\n".join(_wrapped_words(f"· {plain_letters(note)}", room) for note in capture.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(capture: Capture, room: int) -> str:
    layers = capture.layers
    if not layers:
        return cut(f"{plain_letters(capture.title) or 'Capture'}: no layer", room)
    heads = sorted({one.heads for one in layers})
    tokens = sorted({one.S for one in layers})
    counts = ((len(layers),), heads, tokens, (max(one.batch for one in layers),))
    said = ", ".join(map(_counted, counts, ("layer", "head", "key", "item")))
    errors = [one.check.error for one in layers if one.check.error is not None]
    checked = f"; rows checked against the kernel within {max(errors):.0e}" if errors else ""
    return _wrapped_words(f"{plain_letters(capture.title) or 'Capture'}: {said}{checked}", room)


def _counted(values: Sequence[int], what: str) -> str:
    span = str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return f"{span} {what}" if values[-1] == 1 else f"{span} {what}s"


def _grid(capture: Capture, statistic: str, room: int, color: bool) -> str:
    """One line a layer, a number a head where they fit, else a shade; as many bands as it takes."""
    told, grid = known(statistic), means(capture, statistic)
    if not np.isfinite(grid).any():
        reasons = sorted({one.undefined[statistic] for one in capture.layers if statistic in one.undefined})
        return _wrapped_words(f"{told.title}: {plain_letters('; '.join(reasons)) or 'not recorded'}", room)
    heads = grid.shape[1]
    longest = max(columns(plain_letters(one.name)) for one in capture.layers)
    left = room - 1 - heads * _NUMBER_COLUMNS
    name = min(longest, max(left, min(_LONGEST_NAME, room // 3)))
    numbered = heads * _NUMBER_COLUMNS <= room - name or heads <= _MARKED
    cell = _NUMBER_COLUMNS if numbered else _SHADE_COLUMNS
    band = max(1, (room - name - 1) // cell)
    band = band - band % _MARKED if _MARKED < band < heads else band
    least, most = float(np.nanmin(grid)), float(np.nanmax(grid))
    low, high = color_range(grid)
    lines = [cut(f"{told.title} ({told.unit}), {least:.3g} to {most:.3g}", room)]
    for first in range(0, heads, band):
        some = range(first, min(first + band, heads))
        lines.append(_heads_line(some, name, cell))
        for row, one in enumerate(capture.layers):
            cells = "".join(_cell(float(grid[row, head]), low, high, cell, color) for head in some)
            lines.append(f"{padded(short_name(one.name, name), name)} {cells}".rstrip())
    return "\n".join(lines)


def _heads_line(heads: range, name: int, cell: int) -> str:
    if cell == _NUMBER_COLUMNS:
        return " " * (name + 1) + "".join(f"{head:>{cell}}" for head in heads)
    marks = [" "] * (len(heads) * cell + 4)
    for head in heads:
        if head % _MARKED == 0 or head == heads.start:
            at = (head - heads.start) * cell
            marks[at : at + len(str(head))] = str(head)
    return (" " * (name + 1) + "".join(marks)).rstrip()


def _cell(value: float, low: float, high: float, cell: int, color: bool) -> str:
    if not math.isfinite(value):
        return f"{'–':>{cell}}"
    share = (value - low) / (high - low)
    words = f"{_short(value):>{cell}}" if cell == _NUMBER_COLUMNS else " " * cell
    if color:
        return _shaded(words, share)
    return words if cell == _NUMBER_COLUMNS else _BLOCKS[min(len(_BLOCKS) - 1, int(share * len(_BLOCKS)))] * cell


def _short(value: float) -> str:
    size = abs(value)
    if size >= 99_999 or 0 < size < 0.001:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}" if size >= 0.01 or size == 0 else f"{value:.3f}"


def _shaded(words: str, share: float) -> str:
    step = min(len(_GROUNDS) - 1, max(0, int(share * len(_GROUNDS))))
    ink = _DARK_INK if step >= _FIRST_LIGHT_GROUND else _LIGHT_INK
    return f"\x1b[48;5;{_GROUNDS[step]}m{ink}{words}{_RESET}"


def _roles(layers: Sequence[CapturedLayer], head: int | None, room: int) -> str:
    found: list[tuple[float, str]] = []
    for layer in layers:
        for number, roles in enumerate(layer.roles or []):
            named = [one for one in roles if one.get("named")]
            if named and head in (None, number):
                names = [plain_letters(str(one.get("role"))) for one in named]
                score, lift = (_number(named[0].get(name)) for name in ("score", "lift"))
                also = f", also {', '.join(names[1:])}" if names[1:] else ""
                said = f"  {plain_letters(layer.name)}, head {number}: {names[0]} {score:.2f}{also}"
                found.append((lift, cut(said, room)))
    if not found:
        return ""
    found.sort(key=lambda one: -one[0])
    more = [f"  … and {len(found) - _MOST_ROLES} heads more"] if len(found) > _MOST_ROLES else []
    return "\n".join(["Roles, the clearest first", *(line for _, line in found[:_MOST_ROLES]), *more])


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _text(
    capture: Capture, layers: Sequence[CapturedLayer], head: int | None, room: int, color: bool, item: int
) -> str:
    """The text of the keys that most layers read, each token with what it receives."""
    streams = [one.key_stream for one in layers if "received" in one.statistics and item < one.batch]
    if not streams:
        return ""
    stream = max(dict.fromkeys(streams), key=streams.count)
    used = [one for one in layers if one.key_stream == stream and "received" in one.statistics and item < one.batch]
    used = [one for one in used if one.S == used[0].S]
    tokens = tokens_of(capture, used[0], "key", item)
    if not tokens:
        return ""
    mass = _received(used, head, item)
    tokens = tokens[: mass.size]
    whose = f"{plain_letters(used[0].name)}, head {head}" if head is not None else "the mean of all heads"
    if head is None and len(layers) == 1:
        whose = f"the mean of the heads of {plain_letters(used[0].name)}"
    top = float(np.nanmax(mass[: len(tokens)], initial=0.0))
    told = f"{plain_letters(stream or 'text')}: weight received per token, 0 to {top:.3g} ({whose})"
    shown = spaced(tokens[:_MOST_TOKENS])
    # The first key of many models receives most of all; the square root leaves something to see of the others.
    shares = [math.sqrt(max(0.0, float(value)) / top) if top > 0 and math.isfinite(value) else 0.0 for value in mass]
    lines = _flowing(shown, shares, room, color)
    more = f"\n… and {len(tokens) - _MOST_TOKENS} tokens more" if len(tokens) > _MOST_TOKENS else ""
    return _wrapped_words(told, room) + "\n" + "\n".join(lines) + more


def _received(layers: Sequence[CapturedLayer], head: int | None, item: int) -> Any:
    """(S,) received by each key; 0 where it is padding."""
    found = []
    for layer in layers:
        whole = np.zeros((layer.heads, layer.S))
        keep = slice(None) if layer.key_keep is None else layer.key_keep[item].numpy()
        for number, values in enumerate(real_values(layer, "received", item)):
            whole[number, keep] = values
        found.append(whole if head is None else whole[head : head + 1])
    return np.concatenate(found).mean(0)


def _flowing(tokens: list[tuple[bool, str]], shares: list[float], room: int, color: bool) -> list[str]:
    """Lines of tokens; one that is longer than a line goes on in the next."""
    lines, used = [""], 0
    for (space, token), share in zip(tokens, shares, strict=False):
        plain = plain_letters(token)
        mark = "" if color else _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]
        for n, piece in enumerate(_pieces(plain, room - 1)):
            before = " " if space and n == 0 and used else ""
            needed = len(before) + (len(mark) if n == 0 else 0) + columns(piece)
            if used + needed > room and used:
                lines.append("")
                used, before = 0, ""
                needed = (len(mark) if n == 0 else 0) + columns(piece)
            shown = _shaded(piece, share) if color and piece else piece
            lines[-1] += before + (mark if n == 0 else "") + shown
            used += needed
    return lines


def _pieces(text: str, most: int) -> list[str]:
    pieces, used = [""], 0
    for letter in text:
        if used + columns(letter) > most:
            pieces.append("")
            used = 0
        pieces[-1] += letter
        used += columns(letter)
    return pieces


def _wrapped_words(text: str, room: int) -> str:
    lines, used = [""], 0
    for word in text.split(" "):
        for n, piece in enumerate(_pieces(word, room)):
            gap = 1 if used and n == 0 else 0
            if used + gap + columns(piece) > room:
                lines.append("")
                used, gap = 0, 0
            lines[-1] += " " * gap + piece
            used += gap + columns(piece)
    return "\n".join(lines)
