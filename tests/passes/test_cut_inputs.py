"""Small values of a layer's input become zero, for this layer alone."""

import numpy as np
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of, normal, op_types
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import ThresholdInputs, thresholds_of, without_thresholds

NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 4, 5, 5] x) => (float[1, 6, 5, 5] y, float[1, 4, 5, 5] r) {
        r = Relu(x)
        [conv] y = Conv(r, w)
    }
"""


def outputs(model, x):
    return runner(plain_session(to_bytes(model)))({"x": x})


def test_only_what_is_above_the_threshold_is_read():
    model, x = model_of(NETWORK, w=normal(6, 4, 1, 1)), normal(1, 4, 5, 5)
    expected = outputs(model, np.where(x > 0.5, x, 0))["y"]

    ThresholdInputs({"conv": 0.5})(model)

    CheckerPass(full_check=True)(model)
    found = outputs(model, x)
    np.testing.assert_array_equal(found["y"], expected)
    np.testing.assert_array_equal(found["r"], np.maximum(x, 0))


def test_second_run_changes_nothing():
    model = model_of(NETWORK, w=normal(6, 4, 1, 1))
    ThresholdInputs({"conv": 0.5})(model)

    assert not ThresholdInputs({"conv": 0.5})(model).modified
    assert op_types(model) == ["Relu", "ThresholdedRelu", "Conv"]


def test_thresholds_are_found_again():
    model = model_of(NETWORK, w=normal(6, 4, 1, 1))
    assert thresholds_of(model) == {}

    ThresholdInputs({"conv": 0.5})(model)

    assert thresholds_of(model) == {"conv": 0.5}


def test_without_thresholds_nothing_of_a_layer_behind_a_relu_is_left_out():
    model, x = model_of(NETWORK, w=normal(6, 4, 1, 1)), normal(1, 4, 5, 5)
    expected = outputs(model, x)["y"]
    ThresholdInputs({"conv": 0.5})(model)

    smooth = without_thresholds(model)

    np.testing.assert_array_equal(outputs(smooth, x)["y"], expected)
    assert thresholds_of(model) == {"conv": 0.5}
