"""Depthwise convolution on every instruction set, at the edges of its vectors and row blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native import Conv, Epilogue, Problem, RefusedError, reference, run
from rounding import tolerance


def random_problem(
    conv: Conv, batch: int, height: int, width: int, residual: bool, epilogue: Epilogue, seed: int
) -> Problem:
    rng = np.random.default_rng(seed)

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Problem(
        conv,
        normal(conv.weight_shape),
        normal((conv.filters,)),
        normal(conv.input_shape(batch, height, width)),
        normal(conv.output_shape(batch, height, width)) if residual else None,
        epilogue,
    )


@st.composite
def problems(draw) -> Problem:
    small = st.integers(1, 3)
    kernel = draw(
        st.sampled_from((3, 3, 5, 5, 7, 1)).map(lambda k: (k, k)) | st.tuples(small, small)
    )
    stride = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (1, 2))))
    dilation = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (3, 1), (1, 3))))
    pads = draw(st.tuples(*[st.integers(0, 6)] * 4) | st.just((0, 0, 0, 0)))
    groups = draw(st.integers(1, 5))
    conv = Conv(groups * draw(small), 1, groups, *kernel, *stride, *dilation, *pads)
    # Widths on both sides of 4, 8, 16 and 32 lanes, and of several vectors.
    height = draw(st.integers(0, 20)) + max(1, conv.span[0] - pads[0] - pads[2])
    width = draw(st.integers(0, 75)) + max(1, conv.span[1] - pads[1] - pads[3])
    epilogue = draw(
        st.sampled_from((Epilogue(), Epilogue(low=0), Epilogue(low=0, high=6), Epilogue(slope=0.1)))
    )
    return random_problem(
        conv, draw(small), height, width, draw(st.booleans()), epilogue, draw(st.integers(0, 99))
    )


@given(problem=problems(), threads=st.integers(1, 2), at_end=st.booleans())
def test_it_equals_the_reference_and_reads_nothing_beside_the_tensor(isa, problem, threads, at_end):
    actual = run("depthwise", isa, problem, threads=threads, at_end=at_end)

    error = np.abs(actual.astype(np.float64) - reference(problem))
    assert (error <= tolerance("depthwise", problem)).all()


@pytest.mark.parametrize("size", [(5, 5), (40, 100), (90, 130)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_maps_that_are_cut_into_parts_have_no_seams(isa, kernel, stride, size):
    pad = kernel // 2
    conv = Conv(600 // size[0], 1, 600 // size[0], kernel, kernel, stride, stride, 1, 1, *[pad] * 4)
    problem = random_problem(conv, 1, *size, False, Epilogue(), seed=0)

    actual = run("depthwise", isa, problem, threads=2)

    error = np.abs(actual.astype(np.float64) - reference(problem))
    assert (error <= tolerance("depthwise", problem)).all()


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_nan_reaches_the_outputs_that_read_it_and_no_other(isa, kernel):
    pad = kernel // 2
    conv = Conv(1, 1, 1, kernel, kernel, 1, 1, 1, 1, *[pad] * 4)
    problem = random_problem(conv, 1, 20, 40, False, Epilogue(low=0, high=6), seed=0)
    problem.x[0, 0, 9, 17] = np.nan

    actual = run("depthwise", isa, problem)

    expected = np.zeros((20, 40), bool)
    expected[9 - pad : 10 + pad, 17 - pad : 18 + pad] = True
    assert (np.isnan(actual[0, 0]) == expected).all()


@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize("pads", [(0, 0, 1, 0), (0, 0, 2, 0), (1, 0, 0, 0), (0, 0, 0, 3)], ids=str)
def test_rows_that_are_all_padding_are_written(isa, pads, height):
    conv = Conv(3, 1, 3, 1, 1, 1, 1, 1, 1, *pads)
    problem = random_problem(conv, 2, height, 5, False, Epilogue(), seed=0)

    actual = run("depthwise", isa, problem)

    assert (np.abs(actual - reference(problem)) <= tolerance("depthwise", problem)).all()


def test_a_grouped_convolution_is_refused(isa):
    conv = Conv(4, 2, 2, 3, 3)
    problem = random_problem(conv, 1, 5, 5, False, Epilogue(), seed=0)

    with pytest.raises(RefusedError, match="one channel per group, the weight has 2"):
        run("depthwise", isa, problem)
