"""The space that is searched where a recipe names none: around what the data settles."""

from collections.abc import Collection
from typing import Any

from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.tune.space import label_of

_POOLINGS = ("bahdanau", "luong-general", "sparsemax", "off-by-one")
_ATTENTIONS = ("vaswani", "rope", "shaw", "entmax-1.5")


def default_space(settled: Recipe, rows: int, given: Collection[str] = ()) -> dict[str, Any]:
    """Ranges around the complete recipe `settled` for `rows` training texts, leaving out the fields in `given`.

    Learning rate and weight decay on a logarithmic scale, dropouts, width, rows a batch, and the operator that pools
    (in a transformer: that of its layers); where weights are taken over, nothing of the network they fit. Every range
    holds the settled value, so that the default is one of the settings.
    """
    model, train = settled.model, settled.train
    rate, width, batch = chosen(train.learning_rate), chosen(model.width), chosen(train.batch_rows)
    space: dict[str, Any] = {
        "train.learning_rate": {"low": rate / 5, "high": min(10.0, rate * 5), "log": True},
        "train.weight_decay": _around(train.weight_decay),
        "model.dropout": _share(chosen(model.dropout)),
        "model.embedding_dropout": _share(chosen(model.embedding_dropout)),
        "model.width": _doubled(width, 2 * model.heads if model.encoder == "transformer" else 2, 8192),
        "train.batch_rows": _doubled(batch, 1, max(batch, rows // 4)),
    }
    if settled.start.start_from:
        # Weights that are taken over fit one size alone.
        del space["model.width"]
    elif model.encoder == "transformer":
        space["model.attention"] = _operators(model.attention, _ATTENTIONS)
        space["model.layers"] = list(range(max(1, model.layers - 1), model.layers + 2))
    else:
        space["model.pooling"] = _operators(model.pooling, _POOLINGS)
    return {name: axis for name, axis in space.items() if axis is not None and name not in given}


def _around(value: float) -> dict[str, Any]:
    if value == 0:
        return {"low": 0.0, "high": 0.1}
    return {"low": value / 100, "high": min(10.0, value * 30), "log": True}


def _share(value: float) -> dict[str, Any]:
    return {"low": 0.0, "high": max(0.7, value)}


def _doubled(value: int, multiple: int, most: int) -> list[int] | None:
    wanted = (value // 2 // multiple * multiple, value, value * 2)
    held = sorted({one for one in wanted if multiple <= one <= most} | {value})
    return held if len(held) > 1 else None


def _operators(now: Any, names: tuple[str, ...]) -> list[Any]:
    return [now, *(name for name in names if name != label_of(now))]
