"""The library of the tests on a processor that is not this one.

QEMU runs it in a process of its own, whose functions and memory testing/server.cc lends to this.
"""

import ctypes
import mmap
import shutil
import struct
import subprocess
import weakref
from collections import defaultdict
from pathlib import Path

import numpy as np
from guarded_memory import NO_ACCESS, PATTERN

BUILD = Path(__file__).parents[2] / "build" / "aarch64"
SERVER = BUILD / "sparsepass_test_server"
QEMU = "qemu-aarch64"
ROOT = "/usr/aarch64-linux-gnu"  # where Debian puts the libraries of that processor

# Request of server.cc: a command, six integers, the name of a function.
REQUEST = struct.Struct("=7q40s")
CALL, READ, WRITE = range(3)


def absence() -> str | None:
    """Why there is no emulator, or None where there is one."""
    if shutil.which(QEMU) is None:
        return f"there is no {QEMU}"
    return None if SERVER.is_file() else f"make arm has not built {SERVER.name}"


class Emulator:
    """An emulated process.  It ends with this object, or where the library crashes."""

    def __init__(self):
        self._process = subprocess.Popen(
            [shutil.which(QEMU), "-L", ROOT, SERVER, BUILD / "libsparsepass_test.so"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},  # sanitizers are loaded into this process only
            cwd=BUILD,  # where a crash leaves its core
        )
        weakref.finalize(self, self._process.communicate)
        self._unused = defaultdict[int, list[int]](list)  # addresses by size

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def guarded(self, values: np.ndarray, at_end: bool = True) -> "Lent":
        """A copy of ``values`` in memory of the emulator."""
        return Lent(self, values, at_end)

    def call(self, function: str, *arguments) -> int:
        """What a function returns that returns an int.

        Arguments are integers, and structures and arrays of ctypes, which go by reference.
        """
        blocks = [None if isinstance(a, int) else np.frombuffer(a, np.uint8) for a in arguments]
        lent = [None if block is None else self.guarded(block) for block in blocks]
        passed = [a if b is None else b.address for a, b in zip(arguments, lent, strict=True)]
        result = self._call(function, *passed)
        for block, there in zip(blocks, lent, strict=True):
            if there is not None:
                block[:] = there.array
        return ctypes.c_int(result).value

    def map(self, size: int, owner: object) -> int:
        """The address of ``size`` bytes between closed pages, lent as long as ``owner`` lives."""
        unused = self._unused[size]
        address = unused.pop() if unused else self._map(size)
        weakref.finalize(owner, unused.append, address)
        return address

    def read(self, address: int, size: int) -> bytes:
        return self._ask(READ, (address, size), answered=size)

    def write(self, address: int, data: bytes) -> None:
        self._ask(WRITE, (address, len(data)), sent=data)

    def _map(self, size: int) -> int:
        whole, kind = size + 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        address = self._call("mmap", 0, whole, NO_ACCESS, kind, -1, 0) + mmap.PAGESIZE
        self._call("mprotect", address, size, mmap.PROT_READ | mmap.PROT_WRITE)
        return address

    def _call(self, function: str, *arguments: int) -> int:
        """What a function of integers and addresses returns, in 64 bits."""
        (result,) = struct.unpack("=q", self._ask(CALL, arguments, function, answered=8))
        return result

    def _ask(self, command, numbers, function="", *, sent=b"", answered=0) -> bytes:
        numbers = (*numbers, *[0] * (6 - len(numbers)))
        self._process.stdin.write(REQUEST.pack(command, *numbers, function.encode()) + sent)
        self._process.stdin.flush()
        answer = self._process.stdout.read(answered)
        assert len(answer) == answered, f"the emulated process ended: {self._process.wait()}"
        return answer


class Lent:
    """An array in the memory of an emulator, guarded as ``Guarded`` guards it here."""

    def __init__(self, emulator: Emulator, values: np.ndarray, at_end: bool):
        self._emulator, self._like = emulator, np.empty_like(values)
        # Of few sizes, so that the next array can have the memory.
        size = max(mmap.PAGESIZE, 1 << (values.nbytes - 1).bit_length())
        start = emulator.map(size, self)
        data, slack = values.tobytes(), bytes([PATTERN]) * (size - values.nbytes)
        emulator.write(start, slack + data if at_end else data + slack)
        self.address = start + (len(slack) if at_end else 0)
        self._slack_at, self._slack = start if at_end else start + len(data), slack

    @property
    def array(self) -> np.ndarray:
        """A copy of what is there now."""
        data = self._emulator.read(self.address, self._like.nbytes)
        return np.frombuffer(data, self._like.dtype).reshape(self._like.shape)

    def check(self) -> None:
        """Raise AssertionError where somebody wrote beside the array."""
        there = self._emulator.read(self._slack_at, len(self._slack))
        assert there == self._slack, "memory beside an array was overwritten"
