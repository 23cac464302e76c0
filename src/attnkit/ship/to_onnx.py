"""A run's network as an ONNX model."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch
from torch.export import ExportedProgram

from attnkit.errors import UsageError

# Below 23 a row that may see nothing is answered with the mean of all values.
OPSET = 23


def to_onnx(program: ExportedProgram, attention: bool = False, opset: int = OPSET) -> bytes:
    """The program as one ONNX file: inputs `ids` and `keep`, outputs `logits` and, with `attention`, `attention`.

    Raises: UsageError where onnx or onnxscript is missing, or an operator has no form in ONNX.
    """
    require("onnx", "onnxscript")
    outputs = ["logits", "attention"] if attention else ["logits"]
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=opset,
                external_data=False,
                input_names=["ids", "keep"],
                output_names=outputs,
                verbose=False,
            )
    except Exception as error:
        # The exporter wraps what went wrong in errors of several kinds; its last cause names the operator.
        raise UsageError(f"this model cannot be shipped to onnx: {_cause(error)}") from error
    assert made is not None
    model = made.model_proto
    _name_axes(model)
    return bytes(model.SerializeToString())


def require(*packages: str) -> None:
    """Hold to the packages of the extra being there.

    Raises: UsageError naming the first that is missing.
    """
    from importlib.util import find_spec

    for name in packages:
        if find_spec(name) is None:
            raise UsageError(f"{name} is needed to ship to onnx and is missing; pip install 'attnkit[ship]'")


def _name_axes(model: object) -> None:
    """Call the free axes batch, sentences and length, as the contract does."""
    for value in model.graph.input:  # type: ignore[attr-defined]
        axes = value.type.tensor_type.shape.dim
        renamed = dict(zip((one.dim_param for one in axes), axis_names(len(axes)), strict=True))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):  # type: ignore[attr-defined]
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in renamed:
                axis.dim_param = renamed[axis.dim_param]


def axis_names(count: int) -> tuple[str, ...]:
    """The names of the axes of ids and keep."""
    return ("batch", "length") if count == 2 else ("batch", "sentences", "length")


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that are not installed and of its own progress."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
