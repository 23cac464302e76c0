"""Numbers of a capture as a picture or a table wants them: one a head, over what is real."""

from typing import Any

import numpy as np

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.statistics import STATISTICS, Statistic

# Means that are nearer than this share of themselves differ by rounding.
_SAME = 1e-4
_LEAST = 1e-12


def known(statistic: str) -> Statistic:
    """The statistic of that name.

    Raises: ValueError with the names there are.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"there is no statistic {statistic!r}; there are {', '.join(STATISTICS)}")
    return STATISTICS[statistic]


def real_values(layer: CapturedLayer, statistic: str, item: int | None = None) -> list[Any]:
    """Arrays (tokens,) a head of what was counted, padding left out, of one item of the batch or of all of them.

    Empty where the layer does not have the statistic.
    """
    if statistic not in layer.statistics:
        return []
    values = layer.statistics[statistic].float().numpy()
    keep = layer.key_keep if STATISTICS[statistic].axis == "key" else layer.query_keep
    if keep is not None and STATISTICS[statistic].axis == "query" and layer.rows is not None:
        keep = keep[:, layer.rows]
    real = np.ones(values.shape[::2], dtype=bool) if keep is None else keep.numpy()
    items = slice(None) if item is None else slice(item, item + 1)
    return [values[items, head][real[items]] for head in range(layer.heads)]


def means_of(layer: CapturedLayer, statistic: str, item: int | None = None) -> list[float]:
    """The mean of a statistic of each head over real tokens, of one item or of all; NaN where there is none."""
    values = real_values(layer, statistic, item)
    return [float(one.mean(dtype=np.float64)) if one.size else float("nan") for one in values]


def means(capture: Capture, statistic: str, item: int | None = None) -> Any:
    """(layers, heads) of the statistic's mean over real tokens; not a number where a layer does not have it."""
    widest = max((layer.heads for layer in capture.layers), default=0)
    found = np.full((len(capture.layers), widest), np.nan)
    for row, layer in enumerate(capture.layers):
        held = means_of(layer, statistic, item)
        found[row, : len(held)] = held
    return found


def color_range(values: Any) -> tuple[float, float]:
    """The ends of a scale of colors; numbers that differ by rounding alone stand near its middle."""
    held = values[np.isfinite(values)]
    if not held.size:
        return 0.0, 1.0
    low, high = float(held.min()), float(held.max())
    size = max(abs(low), abs(high))
    if high - low > _SAME * size:
        return low, high
    # Not quite in the middle, where a step of colors may end and the last digit would choose the side.
    return low - 0.45 * size - _LEAST, high + 0.55 * size + _LEAST


def tokens_of(capture: Capture, layer: CapturedLayer, side: str, item: int) -> list[str]:
    """The tokens of the queries' or the keys' side ("query", "key"); empty where nobody said them."""
    stream = layer.query_stream if side == "query" else layer.key_stream
    items = capture.streams.get(stream, []) if stream is not None else []
    return items[item] if item < len(items) else []
