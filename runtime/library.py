"""Where the native op library is, and how it gets into ONNX Runtime."""

import ctypes
from functools import cache
from importlib.resources import files
from pathlib import Path

import onnxruntime

from sparsepass.errors import UsageError

__all__ = ["instruction_set", "library_path", "register", "registered_ops"]

_NAMES = ("libsparsepass_ort.so", "libsparsepass_ort.dylib", "sparsepass_ort.dll")


def library_path() -> Path:
    """The op library, for ``register_custom_ops_library`` of any ONNX Runtime binding.

    Raises UsageError where this installation was built without it.
    """
    folder = files("sparsepass.runtime")
    for name in _NAMES:
        candidate = Path(str(folder.joinpath(name)))
        if candidate.is_file():
            return candidate
    raise UsageError(
        "sparsepass was installed without its native library; install it with a C++17 compiler present"
    )


def register(options: onnxruntime.SessionOptions) -> None:
    """Add our ops to ``options``; doing so twice changes nothing."""
    options.register_custom_ops_library(str(library_path()))


def registered_ops() -> tuple[str, ...]:
    """The names of the ops that the native library registers, in its order."""
    names: list[str] = []
    visitor = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
    _library().sparsepass_list_ops(visitor(lambda name: names.append(name.decode())))
    return tuple(names)


def instruction_set() -> str:
    """The widest instruction set that this machine runs: ``avx512``, ``avx2`` or ``baseline``."""
    function = _library().sparsepass_isa
    function.restype = ctypes.c_char_p
    return function().decode()


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(library_path()))
