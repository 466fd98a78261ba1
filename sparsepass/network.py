"""A network in ONNX Runtime: its session at the best settings, and runs of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sparsepass.errors import ModelError, UsageError
from sparsepass.limits import MOST_THREADS

__all__ = [
    "Run", "leaves", "open_session", "plain_session", "runner", "send_nothing", "session_options",
]  # fmt: skip

Run = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, Any]]
"""A network as a function from feeds, of which it takes what it needs, to named outputs.

An output is an array, of strings as objects, or a list, a dict or None that holds such arrays.
"""

_ort: Any = onnxruntime  # ships no types
_state = _ort.capi.onnxruntime_pybind11_state
# Element types that NumPy has none for: such outputs can be handed on, but not looked at.
_UNREADABLE = re.compile(r"tensor\(((u?int[24])|bfloat16|float4\w*|float8\w*|complex\w+)\)")

# ONNX Runtime's exceptions share no base but Exception.
_ERRORS: tuple[type[Exception], ...] = (
    _state.EPFail,
    _state.EngineError,
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NoSuchFile,
    _state.NotImplemented,
    _state.RuntimeException,
    RuntimeError,
)


def send_nothing() -> None:
    """Turn off the events that newer versions of ONNX Runtime collect, for the whole process."""
    _ort.disable_telemetry_events()


def plain_session(
    model: str | Path | bytes, *, threads: int = 0, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session without our library: custom ops run on their function bodies.

    ``threads`` 0 leaves the number to ONNX Runtime (all cores); ``profile`` is the prefix of the
    profile that ONNX Runtime writes.  Raises ModelError where ONNX Runtime cannot load the model.
    """
    return open_session(model, session_options(threads, profile))


def session_options(threads: int, profile: Path | None) -> Any:
    """What all sessions have in common, as ``onnxruntime.SessionOptions``.

    Raises UsageError for a number of threads that makes no sense.
    """
    if not 0 <= threads <= MOST_THREADS:
        raise UsageError(f"{threads} threads were asked for; give at most {MOST_THREADS}")
    options = _ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads of a session that is done must not spin on the cores of the one that is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return options


def open_session(model: str | Path | bytes, options: Any) -> onnxruntime.InferenceSession:
    """A session on the CPU; raises ModelError where ONNX Runtime cannot load the model."""
    source = model if isinstance(model, bytes) else str(model)
    try:
        return _ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _ERRORS as error:
        named = "the model" if isinstance(model, bytes) else f"{model}"
        raise ModelError(f"ONNX Runtime cannot load {named}: {reason(error)}") from error


def runner(opened: onnxruntime.InferenceSession) -> Run:
    """The function that a session computes.

    Outputs of types that NumPy does not have are left out.  It raises ModelError where ONNX Runtime
    cannot run the model.
    """
    inference: Any = opened
    outputs = [value for value in inference.get_outputs() if not _UNREADABLE.search(value.type)]
    names: list[str] = [value.name for value in outputs]
    fed: set[str] = {value.name for value in inference.get_inputs()}

    def run(feed: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        taken = {name: value for name, value in feed.items() if name in fed}
        try:
            found = cast(list[Any], inference.run(names, taken)) if names else []
        except (*_ERRORS, ValueError) as error:
            raise ModelError(f"ONNX Runtime cannot run the model: {reason(error)}") from error
        return dict(zip(names, found, strict=True))

    return run


def leaves(value: Any) -> list[NDArray[Any]]:
    """The arrays in an output: its own, those of a sequence or a map in order, none if empty."""
    match value:
        case None:
            return []
        case dict():
            entries = cast(dict[Any, Any], value)
            return [np.asarray(list(entries)), *leaves(list(entries.values()))]
        case list() | tuple():
            return [leaf for entry in cast(Sequence[Any], value) for leaf in leaves(entry)]
        case _:
            return [np.asarray(value)]


def reason(error: Exception) -> str:
    """The first line of ONNX Runtime's message without codes and source positions, and a remedy."""
    line = str(error).strip().partition("\n")[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"\S+\.(cc|h):\d+ (\S+::)?\S+(\([^)]*\)( const)?)? ", "", line)
    return f"{line.rstrip('. ')}; check it in ONNX Runtime alone, or export it again"
