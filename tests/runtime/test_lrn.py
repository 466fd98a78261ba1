"""Local response normalisation on every instruction set against double precision."""

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
from sparsepass.runtime.ops import LRN

UNIT = float(np.finfo(np.float32).eps) / 2


class Attributes(ctypes.Structure):
    """``LrnParams`` of lrn.h."""

    _fields_ = (
        ("size", ctypes.c_int64),
        ("alpha", ctypes.c_float),
        ("beta", ctypes.c_float),
        ("bias", ctypes.c_float),
    )


def run(isa: str, attributes: Attributes, x: np.ndarray, threads: int = 1) -> np.ndarray:
    """The output for ``x`` of (batch, channels, pixels), from guarded memory."""
    machine, shape = native.machine(isa), (ctypes.c_int64 * 3)(*x.shape)
    source, target = machine.guarded(x), machine.guarded(np.full_like(x, np.nan))
    code = machine.call(
        "sparsepass_test_lrn",
        native.isa_number(isa),
        threads,
        attributes,
        shape,
        source.address,
        target.address,
    )
    if code == 1:
        raise native.RefusedError
    source.check()
    target.check()
    return np.array(target.array)


def exact(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    squares = x.astype(np.float64) ** 2
    before, after = (attributes.size - 1) // 2, attributes.size // 2
    sums = np.stack(
        [squares[:, max(0, c - before) : c + after + 1].sum(axis=1) for c in range(x.shape[1])],
        axis=1,
    )
    return x / (attributes.bias + attributes.alpha / attributes.size * sums) ** attributes.beta


def tolerance(attributes: Attributes, expected: np.ndarray, channels: int) -> np.ndarray:
    """Every term of the sum is positive, so that its relative error is one rounding a term.

    The power multiplies it by beta and adds its own: at most 4 for two roots and a product, less
    than 2 for powf (glibc states 1 ulp), then one for the division and one for each of scale,
    bias and the rounding of the expectation.
    """
    terms = min(attributes.size, channels)
    roundings = abs(attributes.beta) * (terms + 3) + 4 + 2
    return 1.01 * roundings * UNIT * np.abs(expected) + float(
        np.finfo(np.float32).smallest_subnormal
    )


@given(
    size=st.integers(1, 12),
    beta=st.sampled_from((0.75, 0.5, 1.0, 0.6, 2.0, 0.0, -0.75)),
    alpha=st.sampled_from((1e-4, 1.0, 30.0)),
    bias=st.sampled_from((1.0, 2.0, 1e-3)),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 30), st.integers(1, 70)),
    threads=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@example(5, 0.75, 1e-4, 1.0, (1, 3, 1100), 2, 0)
@example(2**31 - 1, 0.75, 1.0, 1.0, (1, 4, 20), 1, 0)
def test_it_equals_the_definition_to_rounding(isa, size, beta, alpha, bias, shape, threads, seed):
    # Large next to small channels: a running sum would keep the error of the large one.
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.integers(-2, 4, (shape[0], shape[1], 1))
    x = (rng.standard_normal(shape) * scales).astype(np.float32)
    attributes = Attributes(size, alpha, beta, bias)

    actual = run(isa, attributes, x, threads)

    expected = exact(attributes, x)
    error = np.abs(actual - expected)
    assert (error <= tolerance(attributes, expected, shape[1])).all()


@pytest.mark.parametrize(
    "attributes",
    [
        Attributes(0, 1, 1, 1),
        Attributes(-5, 1, 1, 1),
        Attributes(2**40, 1, 1, 1),
        Attributes(5, float("nan"), 1, 1),
        Attributes(5, 1, float("inf"), 1),
    ],
    ids=lambda a: f"{a.size}-{a.alpha}-{a.beta}",
)
def test_attributes_that_mean_nothing_are_refused(isa, attributes):
    with pytest.raises(native.RefusedError):
        run(isa, attributes, np.ones((1, 3, 4), np.float32))


def test_an_empty_batch_gives_an_empty_output(isa):
    assert run(isa, Attributes(5, 1, 1, 1), np.ones((0, 3, 4), np.float32)).shape == (0, 3, 4)


# --- in a session -------------------------------------------------------------------------------


def model(attributes: str) -> ir.Model:
    return map_model(LRN, attributes, "N, 9, H, 6", "N, 9, H, 6")


GOOD = "size = 5, alpha = 0.5, beta = 0.75, bias = 1.0"


def test_a_session_runs_the_kernel_on_open_sizes(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(to_bytes(model(GOOD)))
    x = np.random.default_rng(0).standard_normal((2, 9, 5, 6)).astype(np.float32)

    (y,) = session(path, threads=1).run(None, {"x": x})

    attributes = Attributes(5, 0.5, 0.75, 1.0)
    expected = exact(attributes, x.reshape(2, 9, 30)).reshape(x.shape)
    assert (np.abs(y - np.maximum(expected, 0)) <= tolerance(attributes, expected, 9)).all()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (GOOD.replace("size = 5", "size = 0"), "size is 0, out of range"),
        (GOOD.replace(", bias = 1.0", ""), "a float attribute is missing"),
        (GOOD.replace("size = 5, ", ""), "an integer attribute is missing"),
    ],
)
def test_a_bad_node_is_refused_by_name(tmp_path, attributes, reason):
    path = tmp_path / "m.onnx"
    made = model(attributes)
    made.graph[0].name = "norm1"
    path.write_bytes(to_bytes(made))

    with pytest.raises(Exception, match=f"{LRN.name} node 'norm1': {reason}"):
        session(path, threads=1)


def test_the_library_registers_it():
    assert LRN.name in ops.op_names()
