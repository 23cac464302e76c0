"""A network as one ONNX graph, its open sizes left open."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnkit.errors import FailedError, UsageError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

# The first with attention as one operator (Attention-23); with fewer the map of every head is written out.
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
    was_training = module.training
    module.eval()
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=tuple(dict(axes) for axes in dynamic_shapes),
                input_names=input_names,
                output_names=output_names,
                custom_translation_table=_translations(),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise FailedError(f"this network has no ONNX form: {_reason(error)}; ship it with --to torch") from error
    finally:
        module.train(was_training)
    assert program is not None
    model: ModelProto = program.model_proto
    _forget_notes(model)
    _check_open(model.graph.input, dynamic_shapes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _translations() -> dict[Any, Any]:
    """ONNX forms of what PyTorch's exporter cannot write."""
    from onnxscript import opset23 as op

    def sort(x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        """TopK of all: of equal numbers ONNX puts the earlier one first, which is what stable means."""
        count = op.Reshape(op.Gather(op.Shape(x), op.Constant(value_int=dim), axis=0), op.Constant(value_ints=[1]))
        return op.TopK(x, count, axis=dim, largest=int(descending), sorted=1)

    return {torch.ops.aten.sort.stable: sort}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of libraries that nothing here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The innermost cause in a line; an operator without an ONNX form by its name."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error).strip()
    operator = re.search(r"No ONNX function found for <OpOverload\(op='(\S+)', overload='(\S+)'\)>", said)
    if operator:
        return f"no ONNX operator stands for {operator[1].replace('.', '::')}.{operator[2]}"
    return said.splitlines()[0].rstrip(".") if said else type(error).__name__


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


def _check_open(inputs: "Sequence[ValueInfoProto]", dynamic_shapes: Sequence[Mapping[int, Any]]) -> None:
    """Refuse an axis that should be open and was made a constant.

    Raises: FailedError.
    """
    for one, axes in zip(inputs, dynamic_shapes, strict=True):
        for axis in axes:
            size = one.type.tensor_type.shape.dim[axis]
            if not size.dim_param:
                raise FailedError(
                    f"axis {axis} of {one.name!r} became the constant {size.dim_value} in the ONNX graph: "
                    "something in the network depends on that size; leave the axis out of dynamic_shapes"
                )
