"""Silence for libraries that print to the terminal by themselves."""

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["muted"]

STDOUT = 1


@contextmanager
def muted() -> Generator[None]:
    """Drop what C code prints meanwhile; HiGHS has lines that no option silences.

    What Python or other threads print to standard output meanwhile is lost too: keep it short.
    """
    try:
        saved = os.dup(STDOUT)
    except OSError:
        # Nobody reads what is printed.
        yield
        return
    flush()
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
        yield
    finally:
        flush()
        os.dup2(saved, STDOUT)
        os.close(saved)


def flush() -> None:
    """Write out what waits in the buffers of Python and of the C library."""
    if sys.stdout is not None:
        sys.stdout.flush()
    ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).fflush(None)
