"""Forms of a run that are held side by side: as torch computes it, compiled, in bfloat16, and as it is shipped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.bundle.artefact import contract_of
from attnkit.bundle.contents import Contents, is_artefact
from attnkit.bundle.session import OnnxSession
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.ship.edge.targets import EDGE, EdgeSession
from attnkit.ship.network import refusal, traced
from attnkit.ship.targets import TARGETS
from attnkit.train.predictor import Predictor, load

Call = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Ready:
    """A form that answers: logits (B, C) of ids and keep, its `size` in bytes, and whether it shows attention.

    What a process of its own needs to hold the same: an ONNX `model`, or the `run` that torch loads; neither, where it
    computes in another process anyway. `close` gives back what it holds.
    """

    call: Call
    size: int
    attention: bool
    model: bytes | None = None
    run: Path | None = None
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Form:
    """The name of a form, and how it is made ready; that raises where it cannot be."""

    name: str
    make: Callable[[], Ready]


def forms(
    run: Run, wanted: Sequence[str], also: Sequence[Path], tools: Mapping[str, Path], threads: int, task: str | None
) -> list[Form]:
    """The form "eager" first, then those named, then other runs and artefacts by their paths.

    Raises: UsageError where a name stands for nothing.
    """
    makers: dict[str, Callable[[], Ready]] = {
        "eager": lambda: _eager(run, task),
        "compiled": lambda: _compiled(run, task),
        "bfloat16": lambda: _bfloat16(run, task),
        "onnx": lambda: _onnx(run, task, "float32", threads),
        "onnx-int8": lambda: _onnx(run, task, "int8", threads),
    }
    makers |= {name: lambda name=name: _edge(run, task, name, tools.get(name)) for name in EDGE}  # type: ignore[misc]
    unknown = [name for name in wanted if name not in makers]
    if unknown:
        raise UsageError(f"there is no form {unknown[0]!r}; known are {', '.join(makers)}, and others by --also PATH")
    found = [Form(name, makers[name]) for name in dict.fromkeys(("eager", *wanted))]
    for path in also:
        if not path.exists():
            raise UsageError(f"--also {path} is not there; name a run, or what was shipped")
        found.append(Form(path.name, lambda path=path: _other(path, task, threads)))  # type: ignore[misc]
    return found


def _eager(run: Run, task: str | None) -> Ready:
    return _of_network(load(run, task=task).network, run)


def _compiled(run: Run, task: str | None) -> Ready:
    network = load(run, task=task).network
    return _of_network(torch.compile(network, dynamic=True), run)


def _bfloat16(run: Run, task: str | None) -> Ready:
    network = load(run, task=task).network

    def call(ids: Tensor, keep: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(ids, keep)

    return _of_network(call, run)


def _of_network(network: Callable[[Tensor, Tensor], Tensor], run: Run) -> Ready:
    def call(ids: NDArray[Any], keep: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            return network(torch.from_numpy(ids), torch.from_numpy(keep)).float().numpy()

    return Ready(call, (run.path / "model" / "weights.safetensors").stat().st_size, True, run=run.path)


def _onnx(run: Run, task: str | None, precision: str, threads: int) -> Ready:
    return _of_onnx(TARGETS["onnx"].make(traced(_may_go(run, task), "onnx"), precision), threads, True)


def _of_onnx(model: bytes, threads: int, attention: bool) -> Ready:
    session = OnnxSession(model, threads)
    return Ready(lambda ids, keep: session.run(ids, keep, ["logits"])[0], len(model), attention, model)


def _edge(run: Run, task: str | None, name: str, tools: Path | None) -> Ready:
    predictor = _may_go(run, task)
    target = EDGE[name](tools, predictor.preprocessing.max_tokens)
    model = target.make(traced(predictor, name), "float32")
    return _of_edge(target.open(model), len(model))


def _of_edge(session: EdgeSession, size: int) -> Ready:
    return Ready(lambda ids, keep: session.run(ids, keep, ["logits"])[0], size, True, close=session.close)


def _may_go(run: Run, task: str | None) -> Predictor:
    predictor = load(run, task=task)
    reason = refusal(predictor)
    if reason:
        raise UsageError(f"it cannot be shipped: {reason}")
    return predictor


def _other(path: Path, task: str | None, threads: int) -> Ready:
    if not is_artefact(path):
        return _eager(Run.open(path), task)
    contents = Contents(path)
    contract = contract_of(contents)
    model = contents.read_checked(contract.model, contract.files)
    if contract.target == "onnx":
        return _of_onnx(model, threads, contract.attention)
    if contract.target not in TARGETS:
        raise UsageError(f"{path} runs on {contract.target}; name that form, with its tools")
    session = TARGETS[contract.target].open(model)
    return Ready(lambda ids, keep: session.run(ids, keep, ["logits"])[0], len(model), contract.attention)
