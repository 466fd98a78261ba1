"""What a packed weight takes, against what the table of algorithms says of it."""

import numpy as np
import pytest
from native import Conv, NotHereError, Problem, weighed_run

from sparsepass.algorithms import algorithm
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats, weight_stats

# Code that is large enough gets whole huge pages, and its buffer says nothing of its length.
SHAPES = [(128, 256, 1, 14), (256, 128, 1, 28), (64, 64, 3, 28), (64, 128, 3, 7)]


@pytest.mark.parametrize("density", [0.02, 0.1, 0.4])
@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), SHAPES)
def test_generated_code_takes_about_what_the_report_says(channels, filters, kernel, size, density):
    rng = np.random.default_rng(0)
    shape = (filters, channels, kernel, kernel)
    weight = rng.standard_normal(shape, np.float32) * (rng.random(shape) < density)
    bias, pad = np.zeros(filters, np.float32), kernel // 2
    x = np.zeros((1, channels, size, size), np.float32)
    problem = Problem(
        Conv(filters, channels, 1, kernel, kernel, 1, 1, 1, 1, pad, pad, pad, pad), weight, bias, x
    )
    layer = Layer(
        "layer", "Conv", 1, 1, (kernel,) * 2, (1, 1), (1, 1), (pad,) * 4, (size,) * 2, weight, bias
    )

    try:
        _, held = weighed_run("spmm", "avx512", problem)
    except NotHereError:
        pytest.skip("this machine has no AVX-512")
    expected = algorithm("spmm").options(layer, Stats(weight_stats(layer), None))[0]

    assert held == pytest.approx(expected.work.weight_bytes, rel=0.1)
