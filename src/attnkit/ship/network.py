"""A run's network as every export takes it: ids and keep in, logits out, batch and length left open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from attnkit.errors import UsageError
from attnkit.layers import Seen, tapped
from attnkit.model.bert import BertPlaces
from attnkit.ship.lstm import with_exported_lstms
from attnkit.train.predictor import Predictor


class Shipped(nn.Module):
    """logits_BC of ids and keep, and, with `attention`, the weights of the pooling: (B, T), or (B, N, T).

    Weights are the mean over heads and queries; in a hierarchical network a word's is its sentence's weight times its
    weight in the sentence.
    """

    def __init__(self, network: nn.Module, attention: bool, hierarchical: bool) -> None:
        super().__init__()
        self.network, self.attention, self.hierarchical = network, attention, hierarchical

    def forward(self, ids: Tensor, keep: Tensor) -> tuple[Tensor, ...]:
        if not self.attention:
            return (self.network(ids, keep),)
        with tapped(self.network) as seen:
            logits_BC = self.network(ids, keep)
        return logits_BC, self._weights(seen, keep)

    def _weights(self, seen: Sequence[Seen], keep: Tensor) -> Tensor:
        named = {one.name: one.matrix().mean((1, 2)) for one in seen if one.name.endswith("summary.pooling")}
        if not self.hierarchical:
            return named["summary.pooling"] * keep
        words_BNT = named["word_summary.pooling"].unflatten(0, keep.shape[:2])
        return named["sentence_summary.pooling"].unsqueeze(-1) * words_BNT * keep


@dataclass(frozen=True)
class Traced:
    """A module with the inputs to show it to an exporter, and which of their axes stay open."""

    module: Shipped
    inputs: tuple[Tensor, Tensor]
    axes: dict[int, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes of ids and keep."""
        return tuple(axis.__name__ for axis in self.axes.values())

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes out."""
        return ("logits", "attention") if self.module.attention else ("logits",)


def traced(predictor: Predictor, target: str, attention: bool = False) -> Traced:
    """The network of a run, ready to be exported for `target` ("onnx" or "torch").

    Raises: UsageError where it cannot leave its run, with the reason.
    """
    reason = refusal(predictor)
    if reason:
        raise UsageError(f"this model cannot be shipped: {reason}")
    hierarchical = predictor.preprocessing.hierarchical
    network = with_exported_lstms(predictor.network, target).eval().requires_grad_(False)
    module = Shipped(network, attention, hierarchical).eval()
    return Traced(module, _shown(hierarchical), _open(predictor, hierarchical))


def refusal(predictor: Predictor) -> str | None:
    """Why a model cannot leave its run; None where nothing is known to stand in the way."""
    if predictor.settings.language != "none":
        return "it predicts words, and what is shipped are models that predict labels"
    for name in ("attention", "pooling"):
        code = _user_code(getattr(predictor.settings, name))
        if code and (name == "pooling" or predictor.settings.encoder in ("transformer", "bert")):
            return f"its {name} is code of your own ({code}), which nothing vouches for outside of its module"
    return None


def longest(predictor: Predictor) -> int | None:
    """How many tokens a row may hold; None where any number."""
    places = [
        module.positions.num_embeddings for module in predictor.network.modules() if isinstance(module, BertPlaces)
    ]
    return min(places, default=None)


def _user_code(operator: Any) -> str | None:
    """The `module:Name` in the settings of an operator, where there is one."""
    if isinstance(operator, dict):
        found = [_user_code(value) for value in operator.values()]
    elif isinstance(operator, list | tuple):
        found = [_user_code(value) for value in operator]
    else:
        return operator if isinstance(operator, str) and ":" in operator else None
    return next((one for one in found if one), None)


def _shown(hierarchical: bool) -> tuple[Tensor, Tensor]:
    """Ids and keep of sizes that are no constants of any network, which torch.export might take them for."""
    shape = (3, 5, 7) if hierarchical else (3, 11)
    keep = torch.arange(shape[-1]).expand(shape) < torch.tensor([7, 3, 5]).reshape(3, *([1] * (len(shape) - 1)))
    return torch.full(shape, 3) * keep, keep


def _open(predictor: Predictor, hierarchical: bool) -> dict[int, Any]:
    most = longest(predictor)
    batch, length = Dim("batch", min=1), Dim("length", min=1) if most is None else Dim("length", min=1, max=most)
    return {0: batch, 1: Dim("sentences", min=1), 2: length} if hierarchical else {0: batch, 1: length}
