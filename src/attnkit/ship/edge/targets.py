"""Targets of small devices: LiteRT and ExecuTorch, one row at a time, a few fixed lengths in one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnkit.errors import UsageError
from attnkit.ship.edge.buckets import bucket_for, buckets
from attnkit.ship.edge.program import programs
from attnkit.ship.edge.tools import Talk, Tools
from attnkit.ship.network import Traced


class EdgeSession:
    """A model of fixed lengths in a process of the tools' environment; every row goes in by itself."""

    def __init__(self, talk: Talk, lengths: Sequence[int]) -> None:
        self._talk, self._lengths = talk, lengths

    def close(self) -> None:
        """End the process."""
        self._talk.close()

    def run(self, ids: NDArray[Any], keep: NDArray[Any], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The outputs in the order of their names; weights as wide as the ids."""
        found: list[list[NDArray[Any]]] = []
        for row_T, real_T in zip(ids, keep, strict=True):
            count = int(real_T.sum())
            room = bucket_for(count, self._lengths)
            given = np.zeros((1, room), np.int32)
            given[0, :count] = row_T[:count]
            made = self._talk.ask(given)
            parts = dict(zip(("logits", "attention"), made, strict=False))
            if "attention" in parts:
                wide = np.zeros((1, ids.shape[1]), np.float32)
                wide[0, :count] = parts["attention"][0, :count]
                parts["attention"] = wide
            found.append([parts[name] for name in outputs])
        return [np.concatenate(one) for one in zip(*found, strict=True)]


class _Edge:
    """What both have in common."""

    name: str
    file: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]

    def __init__(self, tools_env: Path | None, longest: int) -> None:
        if tools_env is None:
            raise UsageError(
                f"--to {self.name} needs {', '.join(self.packages)}, which clash with what attnkit stands on; install "
                "them into an environment of their own, and name it with --tools-env"
            )
        self.tools = Tools(tools_env, self.packages)
        self.lengths = buckets(longest)

    def make(self, traced: Traced, precision: str) -> bytes:
        """One file with a signature or method `length_N` for each length N.

        Raises: UsageError where the network has no fixed length, or torch.export refuses it; FailedError where the
            converter does.
        """
        files = {f"{length}.pt2": content for length, content in programs(traced, self.lengths).items()}
        return self.tools.convert(f"convert_{self.name}.py", files, self.file, precision)

    def open(self, model: bytes) -> EdgeSession:
        """Its own runtime with those bytes, in the tools' environment."""
        talk = self.tools.start(f"run_{self.name}.py", model, Path(self.file).suffix, torch.get_num_threads())
        return EdgeSession(talk, self.lengths)

    def trouble(self, model: bytes) -> list[str]:
        """Nothing: the runtime refuses what it cannot read."""
        return []

    def inputs(self, traced: Traced) -> list[dict[str, Any]]:
        """Ids alone, of one of the fixed lengths."""
        return [{"name": "ids", "type": "int32", "shape": [1, length]} for length in self.lengths]


class LiteRT(_Edge):
    """LiteRT (once TensorFlow Lite), with XNNPACK on processors."""

    name, file = "litert", "model.tflite"
    precisions = ("float32", "int8")
    packages = ("litert-torch", "ai-edge-litert")


class ExecuTorch(_Edge):
    """ExecuTorch, lowered to XNNPACK."""

    name, file = "executorch", "model.pte"
    precisions = ("float32",)
    packages = ("executorch", "torch")


EDGE: dict[str, type[LiteRT] | type[ExecuTorch]] = {one.name: one for one in (LiteRT, ExecuTorch)}
