"""Arrays between memory pages that nobody may touch: a read or write past either end crashes.

What an array leaves of its own pages holds a pattern that is checked afterwards.  Generated code
is guarded as well, which sanitizers cannot do.
"""

import ctypes
import mmap

import numpy as np

PATTERN = 0xA5
NO_ACCESS = 0  # PROT_NONE

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Guarded:
    """An array whose last byte is the last of its pages, or whose first byte is the first.

    The guard page on the other side of the slack is closed too.
    """

    def __init__(self, values: np.ndarray, at_end: bool = True):
        size = max(values.nbytes, 1)
        self._inner = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, self._inner + 2 * mmap.PAGESIZE)
        pages = np.frombuffer(self._memory, np.uint8)
        for start in (0, mmap.PAGESIZE + self._inner):
            address = pages.ctypes.data + start
            if libc.mprotect(address, mmap.PAGESIZE, NO_ACCESS):
                raise OSError(ctypes.get_errno(), "mprotect")
        inner = pages[mmap.PAGESIZE : mmap.PAGESIZE + self._inner]
        inner[:] = PATTERN
        first = self._inner - values.nbytes if at_end else 0
        self._slack = inner[:first] if at_end else inner[values.nbytes :]
        self.array = inner[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
        self.array[...] = values

    @property
    def address(self) -> int:
        return self.array.ctypes.data

    def check(self) -> None:
        """Raise AssertionError where somebody wrote beside the array."""
        assert (self._slack == PATTERN).all(), "memory beside an array was overwritten"
