import numpy as np
import pytest

from models_in_text import proto_of
from refusals import CONV, assert_refused, with_attribute


@pytest.mark.parametrize(
    "attribute",
    [
        "strides = [0, 1]", "strides = [1]", "dilations = [0, 0]", "kernel_shape = [5, 5]",
        "kernel_shape = [3, -3]", "pads = [1, 1, 1]", "group = 3", "group = 0", "group = 2",
    ],
)  # fmt: skip
def test_a_convolution_that_makes_no_sense_is_refused(attribute):
    assert_refused(with_attribute(attribute), "conv")


@pytest.mark.parametrize("shape", [(4, 4, 3), (4, 4, 3, 3, 3), (4, 4), (4, 5, 3, 3), (0, 4, 3, 3)])
def test_a_weight_that_does_not_fit_the_input_is_refused(shape):
    assert_refused(proto_of(CONV, w=np.ones(shape, np.float32)), "conv")
