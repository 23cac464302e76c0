"""Sessions that answer with a run's own network, so that what stands around an export is tested without one."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from attnkit.bundle.artefact import Artefact
from attnkit.bundle.contract import Contract
from attnkit.data.encoding import Limits
from attnkit.ship.network import Shipped
from attnkit.train.predictor import Predictor

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class OwnNetwork:
    """The network of a run; `change` alters ids and keep on their way in, as a faulty export would."""

    def __init__(self, predictor: Predictor, change: Change = lambda ids, keep: (ids, keep)) -> None:
        self.module = Shipped(predictor.network, True, predictor.preprocessing.hierarchical).eval()
        self.change = change

    def run(self, ids: Any, keep: Any, outputs: Sequence[str]) -> list[Any]:
        # What the network does where it is exported, as that is what an export would answer.
        with torch.no_grad(), mock.patch("torch.compiler.is_exporting", lambda: True):
            found = self.module(*self.change(torch.from_numpy(ids), torch.from_numpy(keep)))
        return [dict(zip(("logits", "attention"), found, strict=True))[name].numpy() for name in outputs]


def contract_of(predictor: Predictor, **changes: Any) -> Contract:
    values: dict[str, Any] = {
        "target": "onnx", "model": "model.onnx", "precision": "float32", "task": dict(predictor.task.to_dict()),
        "paired": predictor.paired, "limits": Limits(**predictor.preprocessing.limits()), "attention": True,
        "inputs": [], "outputs": [], "budget": 1e-5, "files": {},
    }  # fmt: skip
    return Contract(**{**values, **changes})


def artefact_of(predictor: Predictor, change: Change = lambda ids, keep: (ids, keep), **changes: Any) -> Artefact:
    """An artefact around the run's own network."""
    session = OwnNetwork(predictor, change)
    return Artefact(contract_of(predictor, **changes), predictor.preprocessing.tokenizer, session)
