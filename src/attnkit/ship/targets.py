"""What a run can be shipped to: each target makes the bytes of a model, and opens them again to be verified."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from attnkit.bundle.session import OnnxSession, Session
from attnkit.errors import UsageError
from attnkit.ship.edge.targets import EDGE
from attnkit.ship.lessen import lessened
from attnkit.ship.network import Traced
from attnkit.ship.onnx_graph import OPSET, to_onnx


class Target(Protocol):
    """One form that a network is shipped in."""

    @property
    def name(self) -> str:
        """What it is called on the command line and in a contract."""
        ...

    @property
    def file(self) -> str:
        """The file of its model."""
        ...

    @property
    def precisions(self) -> tuple[str, ...]:
        """What weights may be kept in, the usual one first."""
        ...

    def make(self, traced: Traced, precision: str) -> bytes:
        """The model as the bytes of one file."""
        ...

    def open(self, model: bytes) -> Session:
        """What computes those bytes."""
        ...

    def trouble(self, model: bytes) -> list[str]:
        """What can be said against those bytes without computing them."""
        ...

    def inputs(self, traced: Traced) -> list[dict[str, Any]]:
        """Name, type and shape of what goes in, as a contract tells it."""
        ...


class Onnx:
    """ONNX, for onnxruntime and whatever else reads it."""

    name, file = "onnx", "model.onnx"
    precisions = ("float32", "bfloat16", "float16", "int8")

    def make(self, traced: Traced, precision: str) -> bytes:
        """The graph in one file, weights inside.

        Raises: UsageError where onnx is missing; FailedError where a part of the network has no form in ONNX.
        """
        axes = [traced.axes, traced.axes]
        model = to_onnx(
            traced.module, traced.inputs, axes, input_names=["ids", "keep"], output_names=list(traced.outputs)
        )
        return lessened(model, precision)

    def open(self, model: bytes) -> Session:
        """onnxruntime with those bytes."""
        return OnnxSession(model)

    def trouble(self, model: bytes) -> list[str]:
        """An opset that answers rows of padding with a mean, and weights that lie elsewhere."""
        import onnx

        graph = onnx.load_from_string(model)
        found = [
            f"it is of opset {one.version}; below {OPSET} attention over nothing is a mean and not zero"
            for one in graph.opset_import
            if one.domain in ("", "ai.onnx") and one.version < OPSET
        ]
        if any(one.data_location == onnx.TensorProto.EXTERNAL for one in graph.graph.initializer):
            found.append("its weights lie in another file")
        return found

    def inputs(self, traced: Traced) -> list[dict[str, Any]]:
        """Ids, and which of them are real."""
        return ids_and_keep(traced)


class Torch:
    """An exported program of torch (.pt2), for `torch.export.load` and what compiles it."""

    name, file = "torch", "model.pt2"
    precisions = ("float32",)

    def make(self, traced: Traced, precision: str) -> bytes:
        """The program in one file.

        Raises: UsageError where torch.export refuses the network.
        """
        try:
            with torch.no_grad():
                program = torch.export.export(
                    traced.module, traced.inputs, dynamic_shapes=(dict(traced.axes), dict(traced.axes))
                )
        except Exception as error:
            # torch.export raises whatever the network or its own analysis stumbled on.
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UsageError(f"this model cannot be shipped, as torch.export refuses it: {reason}") from error
        # A sample of inputs would travel as a pickle; whoever opens the program has no need of it.
        program.example_inputs = None
        held = io.BytesIO()
        torch.export.save(program, held)
        return held.getvalue()

    def open(self, model: bytes) -> Session:
        """torch with those bytes."""
        return TorchSession(model)

    def trouble(self, model: bytes) -> list[str]:
        """Nothing: torch checks what it loads."""
        return []

    def inputs(self, traced: Traced) -> list[dict[str, Any]]:
        """Ids, and which of them are real."""
        return ids_and_keep(traced)


class TorchSession:
    """An exported program under torch.

    Raises: UsageError where torch refuses it.
    """

    def __init__(self, model: bytes) -> None:
        try:
            self._module = torch.export.load(io.BytesIO(model)).module()
        except Exception as error:
            # torch raises what its reader stumbles on.
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"torch cannot read the model ({reason}); copy it again, or ship it anew") from None

    def run(self, ids: NDArray[Any], keep: NDArray[Any], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The outputs in the order of their names."""
        with torch.no_grad():
            found = self._module(torch.from_numpy(ids), torch.from_numpy(keep))
        by_name = dict(zip(("logits", "attention"), found, strict=False))
        return [by_name[name].detach().numpy() for name in outputs]


TARGETS: dict[str, Target] = {one.name: one for one in (Onnx(), Torch())}


def ids_and_keep(traced: Traced) -> list[dict[str, Any]]:
    """The inputs of a target that takes batches of any size."""
    axes = list(traced.names)
    return [{"name": name, "type": kind, "shape": axes} for name, kind in (("ids", "int64"), ("keep", "bool"))]


def target_named(name: str, tools_env: Path | None = None, longest: int = 1) -> Target:
    """The target of that name; those of fixed sizes reach texts of `longest` tokens, with the tools of `tools_env`.

    Raises: UsageError where there is none, or its tools are missing.
    """
    if name in EDGE:
        return EDGE[name](tools_env, longest)
    if name not in TARGETS:
        raise UsageError(f"there is no target {name!r}; ship to {', '.join([*TARGETS, *EDGE])}")
    if tools_env is not None:
        raise UsageError(f"--tools-env is for {' and '.join(EDGE)}, and {name} needs no tools; leave it out")
    return TARGETS[name]
