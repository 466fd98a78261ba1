"""Where the native op library is, and how it gets into ONNX Runtime."""

import ctypes
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from sparsepass.errors import UsageError
from sparsepass.profile import cpu_name
from sparsepass.target import Target, block_of, column_of
from sparsepass.tuning import InstructionSet

__all__ = [
    "instruction_set", "instruction_sets", "library_path", "register", "registered_ops", "target",
]  # fmt: skip

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
        "sparsepass was installed without its native library; install it where a C++17 compiler is"
    )


def register(options: Any, isa: str | None = None) -> None:
    """Add our ops to ``options``, an ``onnxruntime.SessionOptions``; twice does not harm.

    Their kernels are those of the widest instruction set that this machine runs, or of ``isa``, to
    see how they do on another.  Raises UsageError where this machine does not run it.
    """
    if isa is not None:
        options.add_session_config_entry("ai.sparsepass.isa", instruction_set(isa))
    options.register_custom_ops_library(str(library_path()))


def registered_ops() -> tuple[str, ...]:
    """The names of the ops that the native library registers, in its order."""
    names: list[str] = []

    def add(name: bytes) -> None:
        names.append(name.decode())

    _library().sparsepass_list_ops(ctypes.CFUNCTYPE(None, ctypes.c_char_p)(add))
    return tuple(names)


def instruction_set(wanted: str | None = None) -> InstructionSet:
    """The instruction set that kernels run with: ``wanted``, or the widest that this machine runs.

    Raises UsageError where this machine does not run ``wanted``.
    """
    here = instruction_sets()
    if wanted is None:
        return here[-1]
    for isa in here:
        if isa == wanted:
            return isa
    raise UsageError(f"this machine does not run '{wanted}'; give one of {', '.join(here)}")


def instruction_sets() -> tuple[InstructionSet, ...]:
    """Those that this machine runs, the widest last."""
    function = _library().sparsepass_isa
    function.restype = ctypes.c_char_p
    known: tuple[InstructionSet, ...] = get_args(InstructionSet)
    return known[: known.index(function().decode()) + 1]


def target(isa: str | None = None) -> Target:
    """What work is counted for here; see ``instruction_set`` for ``isa``."""
    kernels = instruction_set(isa)
    return Target(kernels, block_of(instruction_set()), column_of(kernels, cpu_name()))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(library_path()))
