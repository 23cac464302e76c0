"""Sessions: what computes a shipped model, whatever it was shipped to."""

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from attnkit.errors import UsageError


class Session(Protocol):
    """Computes the outputs of that name from ids and keep, in float32."""

    def run(self, ids: NDArray[Any], keep: NDArray[Any], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The outputs in the order of their names."""
        ...


class OnnxSession:
    """An ONNX model under onnxruntime on the processor, on `threads` threads (None: all cores).

    Raises: UsageError where onnxruntime is missing, or refuses the model.
    """

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UsageError("onnxruntime runs this model and is missing; pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._inner = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # The library raises exceptions of its own, which share no base but this one.
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"onnxruntime cannot read the model ({reason}); copy it again, or ship it anew") from None

    def run(self, ids: NDArray[Any], keep: NDArray[Any], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The outputs in the order of their names."""
        return list(self._inner.run(list(outputs), {"ids": ids, "keep": keep}))
