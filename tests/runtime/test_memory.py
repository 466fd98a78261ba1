"""What a packed weight takes, against what the table of algorithms says of it."""

import numpy as np
import pytest
from native import Conv, NotHereError, Problem, weighed_run

from sparsepass.algorithms import algorithm
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.tuning import tuning_for

# Code that is large enough gets whole huge pages, and its buffer says nothing of its length.
SHAPES = [(128, 256, 1, 14), (256, 128, 1, 28), (64, 64, 3, 28), (64, 128, 3, 7)]

# Code that gets huge pages where memory is not bounded.
LARGE_SHAPES = [(512, 2048, 1, 7), (256, 256, 3, 14)]
SMALL_SHAPES = [(24, 40, 1, 9), (16, 16, 3, 9)]


def problem_of(
    channels: int, filters: int, kernel: int, size: int, density: float, stride: int = 1
) -> Problem:
    """A convolution that keeps that share of its weights and no more, anywhere."""
    window = [kernel] * 2 + [stride] * 2 + [1] * 2 + [kernel // 2] * 4
    conv = Conv(filters, channels, 1, *window)
    order = np.random.default_rng(0).permutation(filters * channels * kernel**2)
    return Problem(
        conv,
        weight=(order < int(density * order.size)).reshape(conv.weight_shape).astype(np.float32),
        bias=np.zeros(filters, np.float32),
        x=np.zeros(conv.input_shape(1, size, size), np.float32),
    )


@pytest.mark.parametrize("density", [0.02, 0.1, 0.39, 0.41])
@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), SHAPES)
def test_a_packed_weight_takes_about_what_the_report_says(channels, filters, kernel, size, density):
    problem = problem_of(channels, filters, kernel, size, density)
    layer = Layer(
        "layer", "Conv", 1, 1, (kernel,) * 2, (1, 1), (1, 1), (kernel // 2,) * 4, (size,) * 2,
        problem.weight, problem.bias,
    )  # fmt: skip

    try:
        _, held = weighed_run("spmm", "avx512", problem)
    except NotHereError:
        pytest.skip("this machine has no AVX-512")
    expected = algorithm("spmm").options(layer, Stats(weight_stats(layer), None))[0]

    assert held == pytest.approx(expected.work.weight_bytes, rel=0.1)


@pytest.mark.parametrize("density", [0.4, 0.37, 0.3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "size"), [*SHAPES, *LARGE_SHAPES, *SMALL_SHAPES]
)
def test_from_60_percent_zeros_on_no_weight_takes_more_than_the_dense_one(
    channels, filters, kernel, size, stride, density, isa
):
    problem = problem_of(channels, filters, kernel, size, density, stride)

    _, held = weighed_run("spmm", isa, problem)

    assert held <= max(problem.weight.nbytes, tuning_for(isa).unbounded_bytes)


@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), [*SHAPES, *LARGE_SHAPES])
def test_just_above_60_percent_zeros_code_and_tiles_share_the_channels(
    channels, filters, kernel, size, isa
):
    if isa == "baseline":
        pytest.skip("no code is generated for it")
    problem = problem_of(channels, filters, kernel, size, 0.39)

    _, held = weighed_run("spmm", isa, problem)
    _, tiles = weighed_run("spmm_tiles", isa, problem)

    assert 1.2 * tiles < held <= max(problem.weight.nbytes, tuning_for(isa).unbounded_bytes)
