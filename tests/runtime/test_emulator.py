"""The other processor: what ships loads there, and a crash there is an error here."""

import ctypes
import os

import emulator
import native
import numpy as np
import pytest

LIBRARY = emulator.BUILD / "libsparsepass_ort.so"

pytestmark = pytest.mark.parametrize("isa", native.EMULATED, indirect=True)


def test_the_library_that_ships_loads(isa):
    path = ctypes.create_string_buffer(bytes(LIBRARY))

    # Resolves every symbol, or loads nothing.
    handle = native.machine(isa).call("dlopen", path, os.RTLD_NOW)

    assert handle


def test_a_crash_ends_the_process_and_the_next_call_has_another(isa):
    with pytest.raises(AssertionError, match="the emulated process ended"):
        native.machine(isa).call("abort")

    assert native.machine(isa).call("abs", -7) == 7


def test_a_write_beside_an_array_is_found(isa):
    machine = native.machine(isa)
    lent = machine.guarded(np.zeros(5, np.float32))
    lent.check()
    machine.write(lent.address - 1, b"!")

    with pytest.raises(AssertionError, match="memory beside an array"):
        lent.check()


@pytest.mark.parametrize(("at_end", "beside"), [(True, 20), (False, -1)])
def test_nobody_reads_past_the_guarded_end_of_an_array(isa, at_end, beside):
    machine = native.machine(isa)
    lent = machine.guarded(np.zeros(5, np.float32), at_end)

    with pytest.raises(AssertionError, match="the emulated process ended"):
        machine.call("strlen", lent.address + beside)
