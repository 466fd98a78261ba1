"""The encodings of CPO and CPS against the papers' examples, and the formulas of their memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from paper_encodings import PlaneShape, convolve, decode_cps, encode_cpo, encode_cps

from sparsepass.algorithms import algorithm
from sparsepass.layer import Layer
from sparsepass.sparsity import ActivationStats, Stats, weight_stats

EXAMPLE = np.array(
    [[0, 2, 0, 0, 1], [0, 0, 3, 0, 0], [4, 0, 0, 0, 0], [0, 0, 5, 6, 0], [0, 0, 7, 0, 8]],
    np.float32,
)
WEIGHT = np.arange(1, 10, dtype=np.float32).reshape(3, 3)


def dense(plane: NDArray[np.float32], weight: NDArray[np.float32], shape: PlaneShape):
    windows = np.lib.stride_tricks.sliding_window_view(plane, shape.kernel)
    return np.einsum("yxrs,rs->yx", windows[:: shape.stride[0], :: shape.stride[1]], weight)


def words(name: str, shape: PlaneShape, density: float) -> float:
    """What the row says that the paper says of one channel, in words of 4 bytes."""
    layer = Layer(
        "conv", "Conv", 1, 1, shape.kernel, shape.stride, (1, 1), (0,) * 4, shape.plane,
        np.ones((1, 1, *shape.kernel), np.float32), np.zeros(1, np.float32),
    )  # fmt: skip
    zeros = 1 - density
    found = ActivationStats(zeros, zeros, zeros, 0.0, 0.0, 0.0, samples=1)
    return algorithm(name).paper_workspace(layer, Stats(weight_stats(layer), found)) / 4


def cscc_words(shape: PlaneShape, density: float) -> float:
    """The encoding that the paper compares with, and that is no algorithm here."""
    columns = shape.out[1]
    return 2 * density * shape.plane[0] * shape.kernel[1] * columns + columns + 1


def test_cpo_of_the_worked_example():
    cpo = encode_cpo(EXAMPLE, PlaneShape((5, 5), (3, 3)))

    assert cpo.values.tolist() == [4, 1, 8, 2, 6, 3, 5, 7]
    assert cpo.index.tolist() == [6, 2, 14, 1, 11, 5, 11, 14]
    assert cpo.start.tolist() == [[0, 1, 1, 3], [3, 4, 5, 5], [5, 8, 8, 8]]


def test_convolution_of_the_worked_example():
    out = convolve(encode_cpo(EXAMPLE, PlaneShape((5, 5), (3, 3))), WEIGHT)

    assert out.tolist() == [[50, 17, 15], [70, 100, 86], [97, 117, 171]]


def test_cps_writes_a_set_for_three_of_four_neighbours():
    plane = np.zeros((8, 8), np.float32)
    plane[[0, 1, 2, 7], 0] = 1
    plane[[0, 1, 2, 3, 5, 7], 3] = 1

    cps = encode_cps(plane, PlaneShape((8, 8), (3, 3)))

    assert cps.position.tolist() == [0, 7, 24, 29, 31]
    assert cps.rows.tolist() == [7, 0, 15, 0, 0]


@pytest.mark.parametrize(
    ("plane", "kernel", "density", "ratios"),
    [
        ((17, 17), (3, 3), 0.05, (2.65, 21.9, 31.7, 31.7)),
        ((17, 17), (3, 3), 0.10, (2.65, 12.0, 21.8, 21.9)),
        ((17, 17), (3, 3), 0.50, (2.65, 2.6, 6.3, 6.8)),
        ((17, 17), (3, 3), 1.00, (2.65, 1.3, 3.3, 4.3)),
        ((56, 56), (3, 3), 0.10, (2.89, 14.0, 35.5, 35.6)),
        ((8, 8), (3, 3), 0.10, (2.25, 9.1, 10.9, 10.9)),
        ((17, 17), (7, 1), 0.10, (4.53, 17.3, 17.3, 17.3)),
        ((17, 17), (1, 7), 0.10, (1.00, 4.8, 9.9, 9.9)),
    ],
)
def test_compression_ratios_are_those_of_the_paper(plane, kernel, density, ratios):
    shape = PlaneShape(plane, kernel)

    im2col = words("im2col", shape, density)
    mec, cpo, cps = (words(name, shape, density) for name in ("mec", "cpo", "cps"))
    actual = [im2col / found for found in (mec, cscc_words(shape, density), cpo, cps)]

    assert actual == pytest.approx(ratios, abs=0.06)


def test_words_of_an_encoding_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    plane = (rng.random((17, 17)) < 0.3).astype(np.float32)
    shape, density = PlaneShape((17, 17), (3, 3)), np.count_nonzero(plane) / plane.size

    assert encode_cpo(plane, shape).words == pytest.approx(words("cpo", shape, density))
    assert encode_cps(plane, shape).words <= encode_cpo(plane, shape).words


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32], PlaneShape]:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    height, width = (size + draw(st.integers(0, 8)) for size in kernel)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    plane = rng.integers(1, 9, (height, width)) * (rng.random((height, width)) < density)
    weight = rng.integers(-8, 9, kernel)
    shape = PlaneShape((height, width), kernel, stride)
    return plane.astype(np.float32), weight.astype(np.float32), shape


# Small integers: every sum is exact in float32.
@given(convolutions())
def test_convolution_of_the_encoding_is_the_dense_one(problem):
    plane, weight, shape = problem

    out = convolve(encode_cpo(plane, shape), weight)

    assert np.array_equal(out, dense(plane, weight, shape))


@given(convolutions())
def test_cps_holds_what_cpo_holds(problem):
    plane, _, shape = problem

    decoded, cpo = decode_cps(encode_cps(plane, shape)), encode_cpo(plane, shape)

    assert np.array_equal(decoded.values, cpo.values)
    assert np.array_equal(decoded.index, cpo.index)
    assert np.array_equal(decoded.start, cpo.start)
