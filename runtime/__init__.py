"""The machine: custom ops, their native library, sessions and timing."""

from sparsepass.runtime.library import library_path, register
from sparsepass.runtime.session import session

__all__ = ["library_path", "register", "session"]
