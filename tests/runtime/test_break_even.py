"""Where CPO and CPS turn to their dense path: the planner counts as the native library decides."""

import ctypes
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native import INSTRUCTION_SETS, Conv, library

from sparsepass.algorithms.activation_sparse import break_even_density
from sparsepass.layer import Layer
from sparsepass.profile import cpu_name
from sparsepass.target import column_of
from sparsepass.tuning import tuning_for


def native_density(conv: Conv, isa: str) -> float:
    function = library().sparsepass_test_break_even
    function.restype = ctypes.c_double
    return function(INSTRUCTION_SETS.index(isa), (ctypes.c_int64 * 13)(*astuple(conv)))


@given(
    sizes=st.tuples(st.integers(1, 700), st.integers(1, 700), st.integers(1, 3)),
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 7), (5, 5), (7, 7)]),
    stride=st.sampled_from([(1, 1), (2, 2), (1, 2)]),
    dilation=st.sampled_from([(1, 1), (2, 2)]),
    isa=st.sampled_from(INSTRUCTION_SETS),
)
def test_the_planner_turns_dense_where_the_library_does(sizes, kernel, stride, dilation, isa):
    filters, channels, groups = sizes
    conv = Conv(filters * groups, channels, groups, *kernel, *stride, *dilation)
    layer = Layer(
        "layer", "Conv", 1, groups, kernel, stride, dilation, (0,) * 4, (32, 32),
        np.broadcast_to(np.zeros((), np.float32), conv.weight_shape),
        np.zeros(conv.filters, np.float32),
    )  # fmt: skip

    counted = break_even_density(layer, tuning_for(column_of(isa, cpu_name()) or isa))

    assert counted == pytest.approx(native_density(conv, isa), rel=1e-12)
