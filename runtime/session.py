"""ONNX Runtime sessions: with our ops, and plain at its best settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.network import ORT_ERRORS, ort_reason
from sparsepass.runtime.library import register

__all__ = ["plain_session", "runner", "session"]

_ort: Any = onnxruntime  # ships no types
_NUMBERS = "fiub"


def session(
    model: str | Path | bytes,
    *,
    threads: int = 0,
    profile: Path | None = None,
    isa: str | None = None,
) -> onnxruntime.InferenceSession:
    """A session with the op library registered.

    ``threads`` 0 leaves the number to ONNX Runtime (all cores); ``profile`` is the prefix of the
    profile that ONNX Runtime writes; ``isa`` is an instruction set that is narrower than what this
    machine has.  Raises ModelError where ONNX Runtime cannot load the model, and UsageError where
    this machine does not run ``isa``.
    """
    options = _options(threads, profile)
    register(options, isa)
    return _open(model, options)


def plain_session(
    model: str | Path | bytes, *, threads: int = 0, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session without our library: custom ops run on their function bodies.

    Raises ModelError where ONNX Runtime cannot load the model.
    """
    return _open(model, _options(threads, profile))


def runner(
    opened: onnxruntime.InferenceSession,
) -> Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """A session as a function from feeds, of which it takes what it needs, to named outputs.

    The function raises ModelError where ONNX Runtime cannot run the model and where an output is
    no tensor of numbers.
    """
    inference: Any = opened
    names: list[str] = [value.name for value in inference.get_outputs()]
    fed: set[str] = {value.name for value in inference.get_inputs()}

    def run(feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        taken = {name: value for name, value in feed.items() if name in fed}
        try:
            found = cast(list[NDArray[Any]], inference.run(names, taken))
        except (*ORT_ERRORS, ValueError) as error:
            raise ModelError(f"ONNX Runtime cannot run the model: {ort_reason(error)}") from error
        for name, value in zip(names, found, strict=True):
            if getattr(value, "dtype", np.dtype(object)).kind not in _NUMBERS:
                raise ModelError(f"output '{name}' is no tensor of numbers; remove it")
        return dict(zip(names, found, strict=True))

    return run


def _options(threads: int, profile: Path | None) -> Any:
    options = _ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads of a session that is done must not spin on the cores of the one that is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return options


def _open(model: str | Path | bytes, options: Any) -> onnxruntime.InferenceSession:
    source = model if isinstance(model, bytes) else str(model)
    try:
        return _ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        named = "the model" if isinstance(model, bytes) else f"{model}"
        raise ModelError(f"ONNX Runtime cannot load {named}: {ort_reason(error)}") from error
