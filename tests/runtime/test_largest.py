"""The largest of every few channels, on every instruction set, against the definition."""

import ctypes

import native
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sparse_models import map_model

from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.runtime import session
from sparsepass.runtime.ops import KEEP_LARGEST, MOST_KEPT


class Attributes(ctypes.Structure):
    """``LargestParams`` of largest.h."""

    _fields_ = (("kept", ctypes.c_int64), ("block", ctypes.c_int64))


def run(isa: str, kept: int, block: int, x: np.ndarray, threads: int = 1) -> np.ndarray:
    """The output for ``x`` of (batch, channels, pixels), from guarded memory."""
    machine, shape = native.machine(isa), (ctypes.c_int64 * 3)(*x.shape)
    source, target = machine.guarded(x), machine.guarded(np.full_like(x, np.nan))
    code = machine.call(
        "sparsepass_test_largest",
        native.isa_number(isa),
        threads,
        Attributes(kept, block),
        shape,
        source.address,
        target.address,
    )
    if code == 1:
        raise native.RefusedError
    source.check()
    target.check()
    return np.array(target.array)


def expected(kept: int, block: int, x: np.ndarray) -> np.ndarray:
    """A value stays where fewer than ``kept`` others of its block are larger in magnitude."""
    blocks = np.abs(x).reshape(len(x), x.shape[1] // block, block, *x.shape[2:])
    larger = (blocks[:, :, None] > blocks[:, :, :, None]).sum(axis=3)
    return np.where(larger.reshape(x.shape) < kept, x, 0)


@given(
    kept=st.integers(1, MOST_KEPT),
    block=st.integers(1, 20),
    blocks=st.integers(1, 3),
    batch=st.integers(1, 2),
    pixels=st.integers(1, 40),
    threads=st.integers(1, 2),
    levels=st.sampled_from((2, 5, 1000)),
    seed=st.integers(0, 99),
)
@example(8, 8, 1, 1, 33, 1, 5, 0)
def test_it_keeps_what_few_others_exceed(
    isa, kept, block, blocks, batch, pixels, threads, levels, seed
):
    # Few levels make values of one magnitude: all of those stay.
    assume(kept <= block)
    rng = np.random.default_rng(seed)
    shape = batch, blocks * block, pixels
    x = rng.integers(-levels, levels, shape).astype(np.float32)

    np.testing.assert_array_equal(run(isa, kept, block, x, threads), expected(kept, block, x))


@pytest.mark.parametrize(("kept", "block"), [(0, 4), (-1, 4), (9, 16), (5, 4), (2, 3), (1, 2**40)])
def test_what_means_nothing_is_refused(isa, kept, block):
    with pytest.raises(native.RefusedError):
        run(isa, kept, block, np.ones((1, 4, 4), np.float32))


def test_an_empty_batch_gives_an_empty_output(isa):
    assert run(isa, 1, 3, np.ones((0, 3, 4), np.float32)).shape == (0, 3, 4)


# --- in a session -------------------------------------------------------------------------------


def model(attributes: str) -> bytes:
    made = map_model(KEEP_LARGEST, attributes, "N, 8, H, 6", "N, 8, H, 6")
    made.graph[0].name = "cut1"
    return to_bytes(made)


@pytest.mark.parametrize("batch", [0, 2])
def test_the_kernel_does_what_its_function_body_does(batch):
    x = np.random.default_rng(0).standard_normal((batch, 8, 5, 6)).astype(np.float32)
    content = model("kept = 2, block = 4")

    kernel = runner(session(content, threads=1))({"x": x})["y"]
    body = runner(plain_session(content))({"x": x})["y"]

    np.testing.assert_array_equal(kernel, body)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ("kept = 0, block = 4", "it keeps 0 of 4, out of range"),
        ("kept = 2", "an integer attribute is missing"),
        ("kept = 2, block = 3", "8 channels are no whole blocks of 3"),
    ],
)
def test_a_bad_node_is_refused_by_name(attributes, reason):
    x = np.ones((1, 8, 5, 6), np.float32)

    with pytest.raises(Exception, match=f"{KEEP_LARGEST.name} node 'cut1': {reason}"):
        session(model(attributes), threads=1).run(None, {"x": x})
