"""What C code prints is dropped, what Python prints before and after is not."""

import ctypes
import os
import sys

import pytest

from sparsepass.muted import muted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls printf of the C library")


def test_lines_of_c_code_are_dropped(capfd):
    c = ctypes.CDLL(None)

    os.write(1, b"before\n")
    with muted():
        c.printf(b"HighsMipSolverData\n")
    os.write(1, b"after\n")

    assert capfd.readouterr().out == "before\nafter\n"


def test_output_comes_back_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), muted():
        _ = 1 // 0
    os.write(1, b"after\n")

    assert capfd.readouterr().out == "after\n"
