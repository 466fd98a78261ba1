"""A network in plain ONNX Runtime, as calibration and sensitivity run it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.model import to_bytes

__all__ = ["ORT_ERRORS", "Network", "ort_reason"]

_ort: Any = onnxruntime  # ships no types
_state = _ort.capi.onnxruntime_pybind11_state

# ONNX Runtime's exceptions share no base but Exception.
ORT_ERRORS: tuple[type[Exception], ...] = (
    _state.EPFail,
    _state.EngineError,
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NoSuchFile,
    _state.NotImplemented,
    _state.RuntimeException,
)


class Network:
    """An ONNX Runtime session of a model, with its own or other outputs.

    ``outputs`` names values of the main graph; the session keeps nothing of the model.
    Raises ModelError where ONNX Runtime cannot load or run it.
    """

    def __init__(
        self, model: ir.Model, outputs: Sequence[str] | None = None, *, threads: int = 1
    ) -> None:
        self.outputs = [v.name or "" for v in model.graph.outputs] if outputs is None else outputs
        options = _ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = _ort.InferenceSession(
                to_bytes(model), options, providers=["CPUExecutionProvider"]
            )
        except ORT_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot load the model: {ort_reason(error)}") from error

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once; the result maps the outputs' names to arrays."""
        if not self.outputs:
            return {}  # ONNX Runtime would take no names for all names
        try:
            found = self._session.run(list(self.outputs), dict(feed))
        except ORT_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot run the model: {ort_reason(error)}") from error
        return dict(zip(self.outputs, cast(list[NDArray[Any]], found), strict=True))


def ort_reason(error: Exception) -> str:
    """The first line of ONNX Runtime's message without codes and source positions, and a remedy."""
    line = str(error).strip().partition("\n")[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"\S+\.(cc|h):\d+ (\S+::)?\S+(\([^)]*\)( const)?)? ", "", line)
    return f"{line.rstrip('. ')}; check it in ONNX Runtime alone, or export it again"
