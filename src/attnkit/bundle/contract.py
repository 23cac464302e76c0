"""The contract of an artefact: what goes in, what comes out, what it was made from."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from attnkit.data.encoding import Limits
from attnkit.errors import UsageError

FORMAT = 1
KINDS = ("single", "multi", "score")
# What is read of `source`: where its run stands, what its weights were, which task of it, what its columns meant.
_SOURCE: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "weights_sha256": (str,),
    "task": (str, type(None)),
    "schema": (dict,),
}


@dataclass(frozen=True)
class Contract:
    """Plain data beside a shipped model.

    `target` says what `model` (a file name) is: "onnx" or "torch". `task` is what a run records of its task, `limits`
    how much of a text is read, `attention` whether the model gives the weights of its pooling beside the logits, and
    `budget` by how much logits may differ from the run's. `files` holds a SHA-256 of each file; `source` says which run
    it came from, and `made` with what.
    """

    target: str
    model: str
    precision: str
    task: dict[str, Any]
    paired: bool
    limits: Limits
    attention: bool
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    budget: float
    files: dict[str, str]
    source: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of label: "single", "multi" or "score"."""
        return str(self.task["kind"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the logits; none for scores."""
        return tuple(self.task.get("classes", ()))

    def to_json(self) -> str:
        """The contract as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, content: bytes, where: str) -> "Contract":
        """The contract that `to_json` wrote.

        Raises: UsageError where it is damaged or of a newer format.
        """
        try:
            plain = json.loads(content)
            version = plain.pop("format")
            if version != FORMAT:
                raise UsageError(f"{where} has format {version!r}, and {FORMAT} is what is read here; update attnkit")
            contract = cls(**{**plain, "limits": Limits(**plain["limits"])})
            _check(contract)
        except UsageError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"the contract of {where} cannot be read ({error}); copy it again") from None
        return contract


def _check(contract: Contract) -> None:
    names = contract.task.get("classes", [])
    if contract.kind not in KINDS or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a task of the kind {contract.kind!r}")
    if contract.kind == "score":
        float(contract.task["mean"]), float(contract.task["deviation"])
    if not isinstance(contract.model, str) or "/" in contract.model or "\\" in contract.model:
        raise ValueError(f"a model called {contract.model!r}")
    if not isinstance(contract.limits.max_tokens, int) or not isinstance(contract.files, dict):
        raise TypeError("its limits or its files")
    for name, kinds in _SOURCE.items():
        if not isinstance(contract.source[name], kinds):
            raise TypeError(f"the {name} of its source")
