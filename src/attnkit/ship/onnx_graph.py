"""A network as one ONNX graph, its open sizes left open."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import has_free_symbols

from attnkit.errors import FailedError, UsageError

if TYPE_CHECKING:
    from onnx import ModelProto

# The first with attention as one operator; what is written out below it answers a row that sees nothing with a mean.
OPSET = 23
LACKING = "writing ONNX needs onnx and onnxscript, which are not installed; pip install 'attnkit[ship]'"


def to_onnx(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    dynamic_shapes: Sequence[Mapping[int, Any]],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> "ModelProto":
    """`module` as it answers in evaluation, traced on `inputs`, as a checked ONNX model of opset `OPSET`.

    `dynamic_shapes` names, an input, the axes whose size is left open: {axis: torch.export.Dim(name, min, max)}. Sizes
    of 1 and equal sizes are safest avoided in `inputs`. Notes of the exporter, which hold paths of this machine, are
    left out, so that one network always gives the same bytes.

    Raises: UsageError where onnx or onnxscript is missing; FailedError where something in the network has no ONNX form,
        which it names, or an axis that should be open is not.
    """
    try:
        import onnx
        import onnxscript
    except ImportError:
        raise UsageError(LACKING) from None
    del onnxscript
    shapes = tuple(dict(axes) for axes in dynamic_shapes)
    with _quiet():
        traced = _traced(module, inputs, shapes)
        _check_open(traced, shapes)
        try:
            program = torch.onnx.export(
                traced,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=input_names,
                output_names=output_names,
                custom_translation_table=_translations(),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise FailedError(f"this network has no ONNX form: {_reason(error)}; ship it with --to torch") from error
    assert program is not None
    model: ModelProto = program.model_proto
    _forget_notes(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FailedError(
            f"this network has no ONNX form: what was written is not one ({_reason(error)}); ship it with --to torch"
        ) from error
    return model


def _traced(module: nn.Module, inputs: tuple[Tensor, ...], shapes: tuple[dict[int, Any], ...]) -> ExportedProgram:
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            return torch.export.export(module, inputs, dynamic_shapes=shapes)
    except Exception as error:
        # torch.export raises whatever the network or its own analysis stumbled on.
        raise FailedError(f"this network cannot be exported: {_reason(error)}") from error
    finally:
        module.train(was_training)


def _translations() -> dict[Any, Any]:
    """ONNX forms of what PyTorch's exporter cannot write."""
    from onnxscript import opset23 as op

    def sort(x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        """TopK of all: of equal numbers ONNX puts the earlier one first, which is what stable means."""
        shape: Any = op.Shape(x)
        axis: Any = op.Constant(value_ints=[dim])
        return op.TopK(x, op.Gather(shape, axis, axis=0), axis=dim, largest=int(descending), sorted=1)

    return {torch.ops.aten.sort.stable: sort}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of libraries that nothing here uses, and of names that axes share."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words; an operator without an ONNX form by its name."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error).strip()
    operator = re.search(r"No ONNX function found for <OpOverload\(op='(\S+)', overload='(\S+)'\)>", said)
    if operator:
        return f"no ONNX operator stands for {operator[1].replace('.', '::')}.{operator[2]}"
    return " ".join(said.split())[:300].rstrip(".") if said else type(error).__name__


def _forget_notes(model: "ModelProto") -> None:
    del model.metadata_props[:]
    _forget_in(model.graph)
    for function in model.functions:
        _forget_in(function)


def _forget_in(graph: Any) -> None:
    """Without the notes of a graph (or function), of what is in it, and of the graphs within its nodes."""
    del graph.metadata_props[:]
    for name in ("input", "output", "value_info", "initializer", "node"):
        for one in getattr(graph, name, ()):
            if not isinstance(one, str):
                del one.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _forget_in(inner)


def _check_open(traced: ExportedProgram, shapes: Sequence[Mapping[int, Any]]) -> None:
    """Refuse an axis that should be open and was made a constant, which the ONNX graph would still call open.

    Raises: FailedError.
    """
    by_name = {node.name: node.meta["val"] for node in traced.graph.nodes if node.op == "placeholder"}
    for name, axes in zip(traced.graph_signature.user_inputs, shapes, strict=True):
        for axis in axes:
            size = by_name[name].shape[axis]
            if not has_free_symbols(size):
                raise FailedError(
                    f"axis {axis} of {name!r} became the constant {size}: something in the network depends on that "
                    "size; leave the axis out of dynamic_shapes"
                )
