"""Watching: what the attention of a model does while it is trained, and when that is a reason for alarm."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from attnkit.capture.captured import CapturedLayer
from attnkit.capture.record import capture
from attnkit.page.numbers import means_of, real_values
from attnkit.train.preprocessing import Ids, Preprocessing

STATISTICS = ("entropy_share", "span", "sink", "largest_logit")
# Below this share of the largest entropy a head looks at next to nothing but one key, whatever the text.
# Source: Zhai et al. (2023), Stabilizing transformer training by preventing attention entropy collapse, section 3.
COLLAPSED = 0.01
# Scores beyond this leave a softmax no gradient. Source: Dehghani et al. (2023), Scaling vision transformers to 22
# billion parameters, section 2.1.
BLOWN_UP = 100.0
# A head that puts so much on the first token of a text does nothing. Source: Xiao et al. (2023), Efficient streaming
# language models with attention sinks, section 3.1.
SUNK = 0.9
# Shorter texts make a sink of any first token.
LEAST_TOKENS = 8


def watched(model: nn.Module, prepare: Preprocessing, items: Sequence[Ids]) -> list[dict[str, Any]]:
    """A line a layer: its name, its kind, and the mean of each statistic a head on these texts (None: undefined).

    Raises: ValueError where the model's attention cannot be captured.
    """
    with torch.no_grad(), capture(model, "stats", statistics=STATISTICS) as seen:
        model(*prepare.collate(items))
    return [_line(layer) for layer in seen.layers]


def _line(layer: CapturedLayer) -> dict[str, Any]:
    means: dict[str, list[float] | None] = {
        name: [round(value, 6) for value in means_of(layer, name)] if name in layer.statistics else None
        for name in STATISTICS
    }
    if "largest_logit" in layer.statistics:
        # What blows up is one score, not the mean of all.
        means["largest_logit"] = [float(one.max()) for one in real_values(layer, "largest_logit")]
    return {"layer": layer.name, "kind": layer.kind, "keys": layer.S, **means}


def alarms(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """(what, where) of every head that is a reason for alarm, in sentences."""
    found = []
    for line in lines:
        where = line["layer"]
        for head, (share, sink, logit) in enumerate(zip(*(_heads(line, name) for name in _ALARMING), strict=True)):
            place = f"{where}, head {head}"
            if logit is not None and logit > BLOWN_UP:
                found.append(("logit blow-up", f"{place}: a score of {logit:.0f} leaves the softmax no gradient"))
            if line["kind"] != "self" or line["keys"] < LEAST_TOKENS:
                continue
            if share is not None and share < COLLAPSED:
                found.append(("entropy collapse", f"{place}: {share:.1%} of the largest entropy is left"))
            elif sink is not None and sink > SUNK:
                found.append(("sink", f"{place}: {sink:.0%} of the weight lies on the first token"))
    return found


_ALARMING = ("entropy_share", "sink", "largest_logit")


def _heads(line: dict[str, Any], name: str) -> list[float | None]:
    """The statistic of each head, None a head where it is undefined."""
    heads = max((len(line[one]) for one in STATISTICS if line[one] is not None), default=0)
    return [None] * heads if line[name] is None else line[name]
