"""ONNX Runtime sessions: with our ops, and plain at its best settings."""

from pathlib import Path

import onnxruntime

from sparsepass.runtime.library import register

__all__ = ["plain_session", "session"]


def session(
    model: str | Path | bytes, *, threads: int = 0, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session with the op library registered.

    ``threads`` 0 leaves the number to ONNX Runtime (all cores); ``profile`` is the prefix of the
    profile that ONNX Runtime writes.
    """
    options = _options(threads, profile)
    register(options)
    return _open(model, options)


def plain_session(
    model: str | Path | bytes, *, threads: int = 0, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session without our library: custom ops run on their function bodies."""
    return _open(model, _options(threads, profile))


def _options(threads: int, profile: Path | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return options


def _open(
    model: str | Path | bytes, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
