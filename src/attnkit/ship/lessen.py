"""A smaller ONNX model: 8-bit products and tables, or weights kept in 16 bits."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnkit.bundle.processor import saturates
from attnkit.errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

# What is smaller stays as it is: it weighs nothing, and norms and biases need their digits.
LEAST_NUMBERS = 1024
# Tables narrower than this would gain less by 8 bits a number and a scale a row than by 16 bits a number.
LEAST_WIDTH = 8
PRECISIONS = ("float32", "bfloat16", "float16", "int8")


def lessened(model: "ModelProto", precision: str) -> bytes:
    """The model in that precision, as bytes.

    bfloat16 and float16: weights are kept in 16 bits and computed with in float32. int8: products of two axes and
    LSTMs in 8 bits with a scale a column of their weights, and one for all numbers of the batch that come in; looked-up
    tables in 8 bits with a scale a row; other weights in float16.

    Raises: UsageError where onnxruntime is missing.
    """
    if precision == "int8":
        model = _quantized(model)
        _lessen_tables(model)
    if precision != "float32":
        _lessen_weights(model, "bfloat16" if precision == "bfloat16" else "float16")
    return bytes(model.SerializeToString())


def seven_bits() -> bool:
    """True where one bit of each int8 weight is left free: this processor needs it, or does not say."""
    return saturates() is not False


def _quantized(model: "ModelProto") -> "ModelProto":
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise UsageError("onnxruntime makes int8 models and is missing; pip install 'attnkit[ship]'") from None
    import onnx

    # The shapes that torch's exporter noted contradict those that onnxruntime finds.
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "small"))
        onnx.save(model, plain)
        # Sizes stay symbols of torch's here, which onnxruntime's symbolic inference does not know.
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=seven_bits(),
            op_types_to_quantize=["MatMul", "Gemm", "LSTM"],
            nodes_to_exclude=_unfit(onnx.load(prepared)),
        )
        return onnx.load(small)


def _unfit(model: "ModelProto") -> list[str]:
    """Products whose weight has more than two axes, for which onnxruntime knows no scale a column."""
    axes = {one.name: len(one.dims) for one in model.graph.initializer}
    return [one.name for one in model.graph.node if one.op_type == "MatMul" and axes.get(one.input[1], 2) != 2]


def _lessen_tables(model: "ModelProto") -> None:
    """Each table that rows are looked up in as 8-bit numbers and a scale a row."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    held = {one.name: one for one in graph.initializer}
    used = Counter(name for node in graph.node for name in node.input)
    nodes: list[NodeProto] = []
    for node in graph.node:
        table = held.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or used[table.name] > 1 or not _is_wide_table(table, node):
            nodes.append(node)
            continue
        name, (rows, scale) = table.name, _rows(numpy_helper.to_array(table))
        graph.initializer.remove(table)
        graph.initializer.append(numpy_helper.from_array(rows, f"{name}.rows"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        ids, out = node.input[1], node.output[0]
        nodes += [
            helper.make_node("Gather", [f"{name}.rows", ids], [f"{out}.rows"], axis=0),
            helper.make_node("Gather", [f"{name}.scale", ids], [f"{out}.scale"], axis=0),
            helper.make_node("Cast", [f"{out}.rows"], [f"{out}.float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out]),
        ]
    _replace_nodes(graph, nodes)


def _is_wide_table(table: "TensorProto", node: "NodeProto") -> bool:
    from onnx import TensorProto

    first_axis = all(one.i == 0 for one in node.attribute if one.name == "axis")
    wide = len(table.dims) == 2 and table.dims[1] >= LEAST_WIDTH and table.dims[0] * table.dims[1] >= LEAST_NUMBERS
    return bool(table.data_type == TensorProto.FLOAT and first_axis and wide)


def _rows(table_VM: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    scale_V1 = np.maximum(np.abs(table_VM).max(1, keepdims=True) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(table_VM / scale_V1).astype(np.int8), scale_V1


def _lessen_weights(model: "ModelProto", kind: str) -> None:
    """Float32 weights in 16 bits, each with a Cast behind it, which onnxruntime does once as it opens the model."""
    import ml_dtypes
    from onnx import TensorProto, helper, numpy_helper

    dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else np.float16
    graph = model.graph
    casts = []
    for one in list(graph.initializer):
        if one.data_type != TensorProto.FLOAT or np.prod(one.dims) < LEAST_NUMBERS:
            continue
        values = numpy_helper.to_array(one)
        if kind == "float16" and np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = one.name
        graph.initializer.remove(one)
        graph.initializer.append(numpy_helper.from_array(values.astype(dtype), f"{name}.{kind}"))
        casts.append(helper.make_node("Cast", [f"{name}.{kind}"], [name], to=TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])


def _replace_nodes(graph: Any, nodes: "list[NodeProto]") -> None:
    held = [type(one).FromString(one.SerializeToString()) for one in nodes]
    del graph.node[:]
    graph.node.extend(held)
