"""One convolution on one algorithm of the native library, through its test entry."""

import ctypes
import math
import re
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import emulator
import numpy as np
from emulator import Emulator
from guarded_memory import Guarded

from sparsepass.runtime import library_path

NATIVE = Path(__file__).parents[2] / "runtime" / "native"
SMOOTH = ("", "HardSwish", "Silu")  # in the order of base/epilogue.h
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
# Instruction sets that only an emulator runs, by what the library calls them.
EMULATED = {"neon": "baseline"}


class RefusedError(Exception):
    """The library says why it does not compute this."""


class NotHereError(Exception):
    """This machine or build lacks the instruction set."""


@dataclass(frozen=True)
class Conv:
    """The attributes of a convolution, in the order of ``ConvParams`` in conv.h."""

    filters: int
    channels_per_group: int
    groups: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.filters, self.channels_per_group, self.kernel_h, self.kernel_w)

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns that the dilated kernel covers."""
        return (
            self.dilation_h * (self.kernel_h - 1) + 1,
            self.dilation_w * (self.kernel_w - 1) + 1,
        )

    def input_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return (batch, self.channels_per_group * self.groups, height, width)

    def output_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        span_h, span_w = self.span
        return (
            batch,
            self.filters,
            (height + self.pad_top + self.pad_bottom - span_h) // self.stride_h + 1,
            (width + self.pad_left + self.pad_right - span_w) // self.stride_w + 1,
        )


@dataclass(frozen=True)
class Epilogue:
    slope: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    smooth: str = ""


@dataclass(frozen=True)
class Problem:
    """A convolution with its operands."""

    conv: Conv
    weight: np.ndarray
    bias: np.ndarray
    x: np.ndarray
    residual: np.ndarray | None = None
    epilogue: Epilogue = Epilogue()


class Arguments(ctypes.Structure):
    """``SparsepassTest`` of testing/entry.cc."""

    _fields_ = (
        ("algorithm", ctypes.c_char * 32),
        ("isa", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("repeats", ctypes.c_int32),
        ("smooth", ctypes.c_int32),
        ("params", ctypes.c_int64 * 13),
        ("shape", ctypes.c_int64 * 4),
        ("epilogue", ctypes.c_float * 3),
        ("values", ctypes.c_void_p),
        ("indices", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("bias", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("packed_bytes", ctypes.c_int64),
        ("scratch_bytes", ctypes.c_int64),
    )


def algorithms() -> list[str]:
    """Every row of algorithms.inc but the oracle itself."""
    text = (NATIVE / "conv" / "algorithms.inc").read_text()
    names = re.findall(r"^SP_ALGORITHM\((\w+)\)", text, re.MULTILINE)
    return [name for name in names if name != "reference"]


def sparse_payload(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that are not zero and their flat indices."""
    indices = np.flatnonzero(weight).astype(np.int32)
    return weight.reshape(-1)[indices], indices


def run(algorithm: str, isa: str, problem: Problem, **how) -> np.ndarray:
    """The output of ``algorithm``; ``how`` and what is raised are those of ``full_run``."""
    return weighed_run(algorithm, isa, problem, **how)[0]


def weighed_run(algorithm: str, isa: str, problem: Problem, **how) -> tuple[np.ndarray, int]:
    """The output of ``algorithm``, and the bytes that its packed weight then takes."""
    output, arguments = full_run(algorithm, isa, problem, **how)
    return output, arguments.packed_bytes


def scratch_bytes(algorithm: str, isa: str, problem: Problem, **how) -> int:
    """The bytes that ``algorithm`` asks of its host to run."""
    return full_run(algorithm, isa, problem, **how)[1].scratch_bytes


def full_run(
    algorithm: str,
    isa: str,
    problem: Problem,
    *,
    threads: int = 1,
    repeats: int = 1,
    at_end: bool = True,
    in_place: bool = False,
) -> tuple[np.ndarray, Arguments]:
    """The output of ``algorithm``, and all that the library said of the run.

    Every operand lies in guarded memory; ``in_place`` writes the output where the residual is.
    Raises RefusedError with the library's message, NotHereError without the instruction set, and
    AssertionError where something was written that is not output.
    """
    if takes_indices(algorithm):
        values, indices = sparse_payload(problem.weight)
    else:
        values, indices = problem.weight.reshape(-1), None
    batch, _, height, width = problem.x.shape
    output = np.full(problem.conv.output_shape(batch, height, width), np.nan, np.float32)
    residual = problem.residual
    if in_place:
        output, residual = np.array(residual), None
    operands = (values, indices, problem.bias, problem.x, residual, output)
    here = machine(isa)
    memory = [None if a is None else here.guarded(a, at_end) for a in operands]
    addresses = [None if m is None else m.address for m in memory]
    if in_place:
        addresses[4] = addresses[5]
    arguments = Arguments(
        algorithm.encode(),
        isa_number(isa),
        threads,
        repeats,
        SMOOTH.index(problem.epilogue.smooth),
        (ctypes.c_int64 * 13)(*astuple(problem.conv)),
        (ctypes.c_int64 * 4)(*problem.x.shape),
        (ctypes.c_float * 3)(*astuple(problem.epilogue)[:3]),
        *addresses[:2],
        len(values),
        *addresses[2:],
    )
    call(arguments, isa)
    for guarded, given in zip(memory, operands, strict=True):
        if guarded is not None:
            guarded.check()
            if given is not output:
                assert guarded.array.tobytes() == given.tobytes(), "an input was overwritten"
    return np.array(memory[-1].array), arguments


def reference(problem: Problem) -> np.ndarray:
    """The convolution in double precision, rounded once."""
    return run("reference", "baseline", problem)


def call(arguments: Arguments, isa: str = "baseline") -> None:
    """The bare call, where ``isa`` runs; raises what the library answers."""
    message = ctypes.create_string_buffer(500)
    match machine(isa).call("sparsepass_test", arguments, message, len(message)):
        case 1:
            raise RefusedError(message.value.decode())
        case 2:
            raise NotHereError(INSTRUCTION_SETS[arguments.isa])


class Here:
    """The library of the tests in this process; an ``Emulator`` has the same in another."""

    guarded = Guarded

    def call(self, function: str, *arguments) -> int:
        """What a function returns; structures and arrays of ctypes go by reference."""
        passed = (ctypes.c_ssize_t(a) if isinstance(a, int) else ctypes.byref(a) for a in arguments)
        return getattr(library(), function)(*passed)


def machine(isa: str) -> Here | Emulator:
    """Where code for an instruction set runs."""
    if isa not in EMULATED:
        return Here()
    if running_emulator().has_ended():
        running_emulator.cache_clear()
    return running_emulator()


@cache
def running_emulator() -> Emulator:
    """One for the whole session, as long as nothing crashes it."""
    return Emulator()


def compiled_for(isa: str) -> str:
    """What the library calls an instruction set."""
    return EMULATED.get(isa, isa)


def isa_number(isa: str) -> int:
    """``Isa`` of machine.h."""
    return INSTRUCTION_SETS.index(compiled_for(isa))


@cache
def library() -> ctypes.CDLL:
    """The library of the tests, beside the one that ships; wheels have it only where asked."""
    shipped = library_path()
    return ctypes.CDLL(str(shipped.with_name(shipped.name.replace("_ort", "_test"))))


@cache
def absence(isa: str) -> str | None:
    """Why an instruction set does not run here, or None where it does."""
    if isa in EMULATED:
        return emulator.absence()
    try:
        probe("reference", isa, dense=True)
    except NotHereError:
        return f"this machine or build has no {isa}"
    return None


def is_here(isa: str) -> bool:
    """Whether this machine and this build have an instruction set."""
    return absence(isa) is None


@cache
def takes_indices(algorithm: str) -> bool:
    """Whether the weight goes in as values and indices; otherwise it goes in dense."""
    try:
        probe(algorithm, "baseline", dense=False)
    except RefusedError:
        return False
    return True


def probe(algorithm: str, isa: str, *, dense: bool) -> None:
    """Create a 1x1 convolution of one channel, run nothing."""
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    call(
        Arguments(
            algorithm.encode(),
            INSTRUCTION_SETS.index(isa),
            1,
            0,
            0,
            (ctypes.c_int64 * 13)(*astuple(Conv(1, 1, 1, 1, 1))),
            (ctypes.c_int64 * 4)(1, 1, 1, 1),
            (ctypes.c_float * 3)(1, -math.inf, math.inf),
            one.ctypes.data,
            None if dense else zero.ctypes.data,
            1,
            one.ctypes.data,
        )
    )
