"""Forms of a run that are held side by side: as torch computes it, compiled, in bfloat16, and as it is shipped."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.bundle.artefact import contract_of, tokenizer_of
from attnkit.bundle.batches import collated
from attnkit.bundle.contents import Contents, is_artefact
from attnkit.bundle.contract import Contract
from attnkit.bundle.session import OnnxSession
from attnkit.data.encoding import Text, encoded_checked
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.ship.edge.targets import EDGE
from attnkit.ship.network import refusal, traced
from attnkit.ship.shipping import refuse_program
from attnkit.ship.targets import TARGETS
from attnkit.train.predictor import Predictor, load

Call = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Reader:
    """How a form reads texts: to items, and items to ids and keep; and the task that its logits are of."""

    items: Callable[[Sequence[Text]], Sequence[Any]]
    collate: Callable[[Sequence[Any]], tuple[NDArray[Any], NDArray[Any]]]
    task: dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """A form that answers: logits (B, C) of ids and keep, its `size` in bytes, and whether it shows attention.

    What a process of its own needs to hold the same: an ONNX `model`, or the `run` that torch loads; neither, where it
    computes in another process anyway. `close` gives back what it holds.
    """

    call: Call
    size: int
    attention: bool
    reader: Reader
    model: bytes | None = None
    run: Path | None = None
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Form:
    """The name of a form, and how it is made ready; that raises where it cannot be."""

    name: str
    make: Callable[[], Ready]


def forms(
    run: Run,
    wanted: Sequence[str],
    also: Sequence[Path],
    tools: Mapping[str, Path],
    threads: int,
    task: str | None,
    allow_code: bool = False,
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
        names = {form.name for form in found}
        name = next(one for one in _numbered(path.absolute().name) if one not in names and one not in makers)
        found.append(Form(name, lambda path=path: _other(path, task, threads, allow_code)))  # type: ignore[misc]
    return found


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def reader_of(predictor: Predictor) -> Reader:
    """How a run reads texts."""

    def collate(items: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        ids, keep = predictor.preprocessing.collate(items)
        return ids.numpy(), keep.numpy()

    return Reader(predictor.encode, collate, dict(predictor.task.to_dict()))


def _reader_of_shipped(contents: Contents, contract: Contract) -> Reader:
    tokenizer, limits = tokenizer_of(contents, contract), contract.limits
    return Reader(
        lambda texts: encoded_checked(tokenizer, limits, texts, contract.paired),
        lambda items: collated(items, limits.hierarchical),
        contract.task,
    )


def _eager(run: Run, task: str | None) -> Ready:
    predictor = load(run, task=task)
    return _of_network(predictor.network, predictor, run)


def _compiled(run: Run, task: str | None) -> Ready:
    predictor = load(run, task=task)
    return _of_network(torch.compile(predictor.network, dynamic=True), predictor, run)


def _bfloat16(run: Run, task: str | None) -> Ready:
    predictor = load(run, task=task)

    def call(ids: Tensor, keep: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return predictor.network(ids, keep)

    return _of_network(call, predictor, run)


def _of_network(network: Callable[[Tensor, Tensor], Tensor], predictor: Predictor, run: Run) -> Ready:
    def call(ids: NDArray[Any], keep: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            return network(torch.from_numpy(ids), torch.from_numpy(keep)).float().numpy()

    size = (run.path / "model" / "weights.safetensors").stat().st_size
    return Ready(call, size, True, reader_of(predictor), run=run.path)


def _onnx(run: Run, task: str | None, precision: str, threads: int) -> Ready:
    predictor = _may_go(run, task)
    model = TARGETS["onnx"].make(traced(predictor, "onnx"), precision)
    return _of_onnx(model, threads, True, reader_of(predictor))


def _of_onnx(model: bytes, threads: int, attention: bool, reader: Reader) -> Ready:
    session = OnnxSession(model, threads)
    return Ready(lambda ids, keep: session.run(ids, keep, ["logits"])[0], len(model), attention, reader, model)


def _edge(run: Run, task: str | None, name: str, tools: Path | None) -> Ready:
    predictor = _may_go(run, task)
    target = EDGE[name](tools, predictor.preprocessing.max_tokens)
    model = target.make(traced(predictor, name), "float32")
    session = target.open(model)
    return Ready(
        lambda ids, keep: session.run(ids, keep, ["logits"])[0], len(model), True, reader_of(predictor),
        close=session.close,
    )  # fmt: skip


def _may_go(run: Run, task: str | None) -> Predictor:
    predictor = load(run, task=task)
    reason = refusal(predictor)
    if reason:
        raise UsageError(f"it cannot be shipped: {reason}")
    return predictor


def _other(path: Path, task: str | None, threads: int, allow_code: bool) -> Ready:
    if not is_artefact(path):
        return _eager(Run.open(path), task)
    contents = Contents(path)
    contract = contract_of(contents)
    refuse_program(contract, path, allow_code)
    model = contents.read_checked(contract.model, contract.files)
    if contract.target == "onnx":
        return _of_onnx(model, threads, contract.attention, _reader_of_shipped(contents, contract))
    if contract.target not in TARGETS:
        raise UsageError(f"{path} runs on {contract.target}; name that form, with its tools")
    session = TARGETS[contract.target].open(model)
    reader = _reader_of_shipped(contents, contract)
    return Ready(lambda ids, keep: session.run(ids, keep, ["logits"])[0], len(model), contract.attention, reader)
