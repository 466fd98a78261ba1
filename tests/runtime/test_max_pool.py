"""Max pooling on every instruction set against the definition, bit for bit."""

import ctypes

import native
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sparse_models import map_model

from sparsepass.model import to_bytes
from sparsepass.runtime import ops, session
from sparsepass.runtime.ops import MAX_POOL


class Windows(ctypes.Structure):
    """``PoolParams`` of pool.h."""

    _fields_ = tuple(
        (name, ctypes.c_int64)
        for name in (
            "kernel_h", "kernel_w", "stride_h", "stride_w",
            "pad_top", "pad_left", "pad_bottom", "pad_right",
        )
    )  # fmt: skip

    def __str__(self) -> str:
        return " ".join(str(getattr(self, name)) for name, _ in self._fields_)

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        return (
            (height + self.pad_top + self.pad_bottom - self.kernel_h) // self.stride_h + 1,
            (width + self.pad_left + self.pad_right - self.kernel_w) // self.stride_w + 1,
        )


def run(isa: str, windows: Windows, x: np.ndarray, threads: int = 1) -> np.ndarray:
    """The output for ``x`` of (planes, height, width), from guarded memory."""
    shape = (x.shape[0], *(max(0, n) for n in windows.output_shape(*x.shape[1:])))
    machine = native.machine(isa)
    source, target = machine.guarded(x), machine.guarded(np.full(shape, np.nan, np.float32))
    call(isa, windows, x.shape, source.address, target.address, threads)
    source.check()
    target.check()
    return np.array(target.array)


def call(
    isa: str, windows: Windows, shape: tuple[int, ...], x: int, y: int, threads: int = 1
) -> None:
    """The bare call for operands at the addresses ``x`` and ``y``."""
    code = native.machine(isa).call(
        "sparsepass_test_max_pool",
        native.isa_number(isa),
        threads,
        windows,
        (ctypes.c_int64 * 3)(*shape),
        x,
        y,
    )
    if code == 1:
        raise native.RefusedError


def expected(w: Windows, x: np.ndarray) -> np.ndarray:
    padded = np.pad(
        x,
        ((0, 0), (w.pad_top, w.pad_bottom), (w.pad_left, w.pad_right)),
        constant_values=-np.inf,
    )
    views = np.lib.stride_tricks.sliding_window_view(padded, (w.kernel_h, w.kernel_w), (1, 2))
    return views[:, :: w.stride_h, :: w.stride_w].max(axis=(3, 4))


@st.composite
def windows(draw) -> Windows:
    kernel = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    pads = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    return Windows(*kernel, *strides, *pads)


@given(
    w=windows(),
    shape=st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(0, 70)),
    threads=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@example(Windows(3, 3, 2, 2, 1, 1, 1, 1), (3, 28, 112), 1, 0)
@example(Windows(3, 3, 2, 2, 0, 0, 1, 1), (70, 55, 55), 2, 0)
@example(Windows(2, 2, 2, 2, 0, 0, 0, 0), (2, 300, 302), 2, 0)
@example(Windows(3, 3, 1, 1, 1, 1, 1, 1), (2, 17, 33), 1, 0)
@example(Windows(40, 40, 32, 32, 3, 0, 39, 1), (2, 41, 200), 1, 0)
def test_it_equals_the_definition(isa, w, shape, threads, seed):
    height = max(shape[1], 1, w.kernel_h - w.pad_top - w.pad_bottom)
    width = max(shape[2], 1, w.kernel_w - w.pad_left - w.pad_right)
    x = np.random.default_rng(seed).standard_normal((shape[0], height, width))
    x = np.where(x < -2, -np.inf, x).astype(np.float32)

    actual = run(isa, w, x, threads)

    np.testing.assert_array_equal(actual, expected(w, x))


@pytest.mark.parametrize(
    ("w", "size"),
    [
        (Windows(0, 3, 1, 1), (5, 5)),
        (Windows(3, 3, 0, 1), (5, 5)),
        (Windows(3, 3, 1, -2), (5, 5)),
        (Windows(3, 3, 1, 2**31), (5, 5)),
        (Windows(3, 3, 1, 1, 3, 0, 0, 0), (5, 5)),
        (Windows(3, 3, 1, 1, 0, -1, 0, 0), (5, 5)),
        (Windows(6, 3, 1, 1), (5, 5)),
        (Windows(3, 6, 1, 1), (5, 5)),
        (Windows(2, 2, 1, 1, 1, 1, 1, 1), (0, 5)),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(isa, w, size):
    x = np.ones((1, *size), np.float32)

    # There is no output: the library has to refuse before it writes.
    with pytest.raises(native.RefusedError):
        call(isa, w, x.shape, native.machine(isa).guarded(x).address, 0)


# --- in a session -------------------------------------------------------------------------------


def model(attributes: str) -> ir.Model:
    return map_model(MAX_POOL, attributes, "N, 9, H, W", "N, C, P, Q")


GOOD = "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 0, 1]"


def test_a_session_runs_the_kernel_on_open_sizes(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(to_bytes(model(GOOD)))
    x = np.random.default_rng(0).standard_normal((2, 9, 15, 26)).astype(np.float32)

    (y,) = session(path, threads=1).run(None, {"x": x})

    pooled = expected(Windows(3, 3, 2, 2, 0, 1, 0, 1), x.reshape(18, 15, 26))
    np.testing.assert_array_equal(y, np.maximum(pooled, 0).reshape(2, 9, 7, 13))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (GOOD.replace("[3, 3]", "[3, 0]"), "a kernel size or stride is 0"),
        (GOOD.replace("[2, 2]", "[2]"), "kernel_shape and strides must have 2 values, pads 4"),
        (GOOD.replace("[0, 1, 0, 1]", "[0, 3, 0, 0]"), "padding must be smaller than the kernel"),
        (GOOD.replace(", strides = [2, 2]", ""), "an attribute is missing or is no list of int"),
    ],
)
def test_a_bad_node_is_refused_by_name(tmp_path, attributes, reason):
    path = tmp_path / "m.onnx"
    made = model(attributes)
    made.graph[0].name = "pool1"
    path.write_bytes(to_bytes(made))

    with pytest.raises(Exception, match=f"{MAX_POOL.name} node 'pool1': {reason}"):
        session(path, threads=1)


def test_an_image_smaller_than_the_window_is_refused_by_name(tmp_path):
    path = tmp_path / "m.onnx"
    made = model(GOOD)
    made.graph[0].name = "pool1"
    path.write_bytes(to_bytes(made))
    opened = session(path, threads=1)

    with pytest.raises(Exception, match="'pool1': the input, 2x9 and padding, is smaller than"):
        opened.run(None, {"x": np.ones((1, 9, 2, 9), np.float32)})


def test_the_library_registers_it():
    assert MAX_POOL.name in ops.op_names()
