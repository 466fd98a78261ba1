"""ONNX Runtime sessions with our ops; those without are in ``network``."""

from pathlib import Path

import onnxruntime

from sparsepass.network import open_session, session_options
from sparsepass.runtime.library import register

__all__ = ["session"]


def session(
    model: str | Path | bytes,
    *,
    threads: int = 0,
    profile: Path | None = None,
    isa: str | None = None,
) -> onnxruntime.InferenceSession:
    """A session with the op library registered; see ``network.plain_session``.

    ``isa`` is an instruction set that is narrower than the widest that this machine runs.  Raises
    ModelError where ONNX Runtime cannot load the model, and UsageError where this machine does not
    run ``isa``.
    """
    options = session_options(threads, profile)
    register(options, isa)
    return open_session(model, options)
