"""Small values of a layer's input become zero, for this layer alone."""

import numpy as np
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of, normal, op_types
from sparsepass.algorithms import Largest, Threshold
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import CutInputs, cuts_of, without_cuts
from sparsepass.runtime.ops import DOMAIN, KEEP_LARGEST, VERSION
from sparsepass.runtime.replacements import cut_inputs

NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 4, 5, 5] x) => (float[1, 6, 5, 5] y, float[1, 4, 5, 5] r) {
        r = Relu(x)
        [conv] y = Conv(r, w)
    }
"""
CUTS = {"ThresholdedRelu": Threshold(0.5), KEEP_LARGEST.name: Largest(1, 4)}
every_cut = pytest.mark.parametrize(("op", "cut"), CUTS.items(), ids=CUTS)


def network():
    return model_of(NETWORK, w=normal(6, 4, 1, 1))


def outputs(model, x):
    return runner(plain_session(to_bytes(model)))({"x": x})


def left_of(x, cut):
    x = np.maximum(x, 0)
    least = np.nextafter(cut.above, 1) if isinstance(cut, Threshold) else x.max(axis=1)
    return np.where(x >= least, x, 0).astype(np.float32)


@every_cut
def test_only_what_is_left_is_read(op, cut):
    model, x = network(), normal(1, 4, 5, 5)
    expected = outputs(model, left_of(x, cut))["y"]

    cut_inputs(model, {"conv": cut})

    CheckerPass(full_check=True)(model)
    found = outputs(model, x)
    np.testing.assert_array_equal(found["y"], expected)
    np.testing.assert_array_equal(found["r"], np.maximum(x, 0))


@every_cut
def test_second_run_changes_nothing(op, cut):
    model, cuts = network(), CutInputs({"conv": cut}, DOMAIN, KEEP_LARGEST.name, VERSION)
    cuts(model)

    assert not cuts(model).modified
    assert op_types(model) == ["Relu", op, "Conv"]


@every_cut
def test_cuts_are_found_again(op, cut):
    model = network()
    assert cuts_of(model) == {}

    cut_inputs(model, {"conv": cut})

    assert cuts_of(model) == {"conv": cut}


@every_cut
def test_without_cuts_nothing_is_left_out(op, cut):
    model, x = network(), normal(1, 4, 5, 5)
    expected = outputs(model, x)["y"]
    cut_inputs(model, {"conv": cut})

    smooth = without_cuts(model)

    np.testing.assert_array_equal(outputs(smooth, x)["y"], expected)
    assert cuts_of(model) == {"conv": cut}
    assert op_types(smooth) == ["Relu", "Conv"]
