"""Smaller models: tables and products in 8 bits, weights in 16, each as far from the original as its bits allow."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from attnkit.ship.lessen import lessened

V, M, N = 200, 32, 64


def model(width: int = M) -> onnx.ModelProto:
    """logits = (table[ids] @ w) of a table whose rows differ a thousandfold."""
    draw = np.random.default_rng(0)
    table = (draw.normal(size=(V, width)) * 10.0 ** draw.uniform(-3, 0, size=(V, 1))).astype(np.float32)
    weight = draw.normal(size=(width, N)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], name="look", axis=0),
        helper.make_node("MatMul", ["rows", "weight"], ["logits"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", N])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def answers(content: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.arange(V, dtype=np.int64).reshape(10, 20)})[0].reshape(V, N)


@pytest.mark.parametrize(("precision", "share", "off"), [("float16", 0.52, 2e-3), ("bfloat16", 0.52, 2e-2)])
def test_sixteen_bits_halve_it(precision: str, share: float, off: float) -> None:
    whole = model().SerializeToString()
    small = lessened(model(), precision)
    assert len(small) < share * len(whole)
    wanted, given = answers(whole), answers(small)
    size = np.abs(wanted).max(1, keepdims=True)
    assert 0 < (np.abs(given - wanted) / size).max() < off


def test_eight_bits_make_a_table_and_a_product_a_third() -> None:
    whole = model().SerializeToString()
    small = lessened(model(), "int8")
    held = onnx.load_from_string(small).graph
    assert len(small) < 0.36 * len(whole)
    assert not any(one.data_type == TensorProto.FLOAT and np.prod(one.dims) > V for one in held.initializer)
    assert "MatMulInteger" in {node.op_type for node in held.node}
    # One scale serves all numbers that come in, so small rows keep what one step of it is.
    wanted, given = answers(whole), answers(small)
    assert np.abs(given - wanted).max() < 0.03 * np.abs(wanted).max()


@pytest.mark.parametrize(("saturates", "largest"), [(False, 127), (True, 64), (None, 64)])
def test_a_bit_is_left_free_where_it_may_be_needed(
    monkeypatch: pytest.MonkeyPatch, saturates: bool | None, largest: int
) -> None:
    monkeypatch.setattr("attnkit.ship.lessen.saturates", lambda: saturates)
    held = onnx.load_from_string(lessened(model(), "int8")).graph
    weight = next(numpy_helper.to_array(one) for one in held.initializer if one.name == "weight_quantized")
    assert np.abs(weight.astype(int)).max() == largest


def test_each_row_of_a_table_has_a_scale_of_its_own() -> None:
    from attnkit.ship.lessen import _rows

    draw = np.random.default_rng(0)
    table = (draw.normal(size=(V, M)) * 10.0 ** draw.uniform(-6, 3, size=(V, 1))).astype(np.float32)
    table[0] = 0
    rows, scale = _rows(table)
    assert rows.dtype == np.int8 and np.abs(rows).max() == 127 and not (rows[0] * scale[0]).any()
    assert (np.abs(rows * scale - table) <= np.abs(table).max(1, keepdims=True) / 253).all()


def test_narrow_tables_take_sixteen_bits() -> None:
    held = onnx.load_from_string(lessened(model(width=6), "int8")).graph
    kinds = {one.name: one.data_type for one in held.initializer}
    assert kinds["table.float16"] == TensorProto.FLOAT16 and "table.rows" not in kinds


def test_float32_is_left_alone() -> None:
    assert lessened(model(), "float32") == model().SerializeToString()
