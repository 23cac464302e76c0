"""A head's map in small as a panel, with its tokens where they fit, and a line of numbers token by token."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.statistics import Statistic
from attnkit.page.letters import cut, drawable, plain_letters
from attnkit.page.numbers import real_values, tokens_of

# So many tokens still have a readable label of their own.
_MOST_LABELS = 48
_LONGEST_LABEL = 14
_COLORS = "viridis"


@dataclass(frozen=True, eq=False)
class Map:
    """mass_RC of one head, and how many tokens its sides stand for."""

    mass_RC: Any
    queries: int
    keys: int
    query_tokens: int
    key_tokens: int

    @property
    def most(self) -> float:
        """The largest weight that is a number."""
        held = self.mass_RC[np.isfinite(self.mass_RC)]
        return float(held.max()) if held.size else 0.0


def map_of(layer: CapturedLayer, head: int, item: int) -> Map:
    """The pooled map of one head and item.

    Raises: ValueError where the layer has none.
    """
    if layer.pooled is None:
        raise ValueError(f"layer {layer.name!r} has no pooled map; capture at level 'maps' or 'full'")
    pooled = layer.pooled
    mass = pooled.mass_BHRC[item, head].float().numpy()
    return Map(mass, layer.T, layer.S, pooled.query_tokens, pooled.key_tokens)


def map_panel(axes: Any, shown: Map, title: str, most: float) -> Any:
    """Draw the map up to the weight `most`.

    Brightness goes with the square root of the weight, so that faint ones are seen beside a sink.
    """
    from matplotlib.colors import PowerNorm

    R, C = shown.mass_RC.shape
    # The last block may stand for fewer tokens: it is drawn whole, and the view ends with the last token.
    extent = (0.0, C * shown.key_tokens, R * shown.query_tokens, 0.0)
    norm = PowerNorm(0.5, vmin=0.0, vmax=most, clip=True)
    drawn = axes.imshow(
        shown.mass_RC, cmap=_COLORS, norm=norm, extent=extent, aspect="auto", interpolation="nearest", origin="upper"
    )
    axes.set_xlim(0, shown.keys)
    axes.set_ylim(shown.queries, 0)
    axes.set_xlabel("key", fontsize=8)
    axes.set_ylabel("query", fontsize=8)
    axes.tick_params(labelsize=7, length=2)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=6)
    if title:
        axes.set_title(title, fontsize=9, parse_math=False)
    return drawn


def label_tokens(axes: Any, capture: Capture, layer: CapturedLayer, item: int) -> bool:
    """Put tokens beside the map where they fit; true where they would but the font lacks letters."""
    numbered = False
    for axis, side, length in ((axes.xaxis, "key", layer.S), (axes.yaxis, "query", layer.T)):
        tokens = tokens_of(capture, layer, side, item)
        if length <= _MOST_LABELS:
            labels = token_labels(tokens, length)
            numbered |= bool(tokens) and labels is None
            axis.set_ticks([index + 0.5 for index in range(length)])
            turned = 90 if side == "key" and labels else 0
            axis.set_ticklabels(
                labels or [str(n) for n in range(length)], fontsize=7, parse_math=False, rotation=turned
            )
    return numbered


def token_labels(tokens: list[str], length: int) -> list[str] | None:
    """A label a token, None where they are not known or the font lacks letters."""
    labels = [cut(plain_letters(token), _LONGEST_LABEL) for token in tokens[:length]]
    if not labels or not drawable(labels):
        return None
    return labels + [""] * (length - len(labels))


def token_line(axes: Any, capture: Capture, layer: CapturedLayer, head: int, told: Statistic, item: int) -> bool:
    """Draw the statistic of one head token by token; true where tokens are numbered for want of letters."""
    values = real_values(layer, told.name, item)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    if not values:
        reason = layer.undefined.get(told.name, "it was not recorded")
        axes.text(0.5, 0.5, f"no {told.title.lower()}: {reason}", ha="center", va="center", fontsize=8, wrap=True)
        axes.set_axis_off()
        return False
    by_key = told.axis == "key"
    keep = layer.key_keep if by_key else layer.query_keep
    length = layer.S if by_key else layer.T
    places = np.arange(length) if by_key or layer.rows is None else layer.rows.numpy()
    if keep is not None:
        places = places[keep[item].numpy()[places]]
    axes.set_xlabel(told.axis, fontsize=8)
    axes.set_xlim(0, length)
    if length > _MOST_LABELS:
        axes.plot(places + 0.5, values[head], color="#3b6a9c", linewidth=0.8)
        return False
    axes.bar(places + 0.5, values[head], width=0.8, color="#3b6a9c")
    tokens = tokens_of(capture, layer, told.axis, item)
    labels = token_labels(tokens, length)
    axes.set_xticks([index + 0.5 for index in range(length)])
    axes.set_xticklabels(
        labels or [str(n) for n in range(length)], fontsize=7, parse_math=False, rotation=90 if labels else 0
    )
    return bool(tokens) and labels is None
