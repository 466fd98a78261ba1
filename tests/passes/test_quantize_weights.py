"""Weights in few bits are what their codes stand for, and constants again at load."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of
from sparsepass.coded import CodedWeight
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import QuantizeWeights

NETWORK = """
    <ir_version: 8, opset_import: ["": {opset}]>
    g (float[1, 3, 9, 9] x) => (float[1, 5, 7, 7] y) {{ [conv] y = Conv(x, w, b) }}
"""
SPARSE = """
    <ir_version: 8, opset_import: ["": {opset}]>
    g (float[4] x) => (float[200000] y) {{
        zeros = ConstantOfShape(size)
        flat = ScatterElements(zeros, indices, values)
        y = Add(flat, zeros)
    }}
"""
SHAPE = (5, 3, 3, 3)


def coded(bits, shape=SHAPE, **given):
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.01, 1, (shape[0], *[1] * (len(shape) - 1))).astype(np.float32)
    if bits == 8:
        codes = rng.integers(-127, 128, shape).astype(np.int8)
        return CodedWeight(codes, given.pop("scales", scales), **given)
    levels = np.sort(rng.standard_normal(16)).astype(np.float32)
    codes = rng.integers(0, 16, shape).astype(np.uint8)
    return CodedWeight(codes, given.pop("scales", scales), levels, **given)


def stands_for(weight):
    units = weight.codes if weight.levels is None else weight.levels[weight.codes]
    return units.astype(np.float32) * weight.scales


def dense_model(opset=17, **arrays):
    arrays = {"w": np.zeros(SHAPE, np.float32), "b": np.ones(5, np.float32), **arrays}
    return model_of(NETWORK.format(opset=opset), **arrays)


def run(model):
    x = np.random.default_rng(1).standard_normal((1, 3, 9, 9)).astype(np.float32)
    return runner(plain_session(to_bytes(model)))({"x": x})["y"]


@pytest.mark.parametrize("opset", [8, 11, 17, 21])
@pytest.mark.parametrize("bits", [4, 8])
def test_network_computes_with_what_the_codes_stand_for(bits, opset):
    weight = coded(bits)
    model = dense_model(opset)

    result = QuantizeWeights({"w": weight})(model)

    assert result.modified
    CheckerPass(full_check=True)(model)
    assert "w" not in model.graph.initializers
    np.testing.assert_array_equal(run(model), run(dense_model(opset, w=stands_for(weight))))


@pytest.mark.parametrize("bits", [4, 8])
def test_weight_is_a_constant_again_where_kernels_are_made(bits, tmp_path):
    model = dense_model()
    QuantizeWeights({"w": coded(bits)})(model)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3

    onnxruntime.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])

    # ONNX Runtime adds layout changes on some machines.
    left = {node.op_type for node in ir.load(options.optimized_model_filepath).graph}
    assert "Cast" not in left
    assert "Gather" not in left


@pytest.mark.parametrize(("bits", "least"), [(8, 3.5), (4, 6.5)])
def test_file_shrinks(bits, least):
    shape = (64, 64, 3, 3)
    exact = model_of(
        NETWORK.format(opset=17).replace("1, 3, 9", "1, 64, 9").replace("1, 5, 7", "1, 64, 7"),
        w=np.zeros(shape, np.float32), b=np.zeros(64, np.float32),
    )  # fmt: skip
    before = len(to_bytes(exact))

    QuantizeWeights({"w": coded(bits, shape)})(exact)

    assert before / len(to_bytes(exact)) > least


@pytest.mark.parametrize("kept", [1, 8, 9])
@pytest.mark.parametrize("step", [3, 300, 70000])
@pytest.mark.parametrize("bits", [4, 8])
def test_sparse_weight_has_the_scales_of_its_filters(bits, step, kept):
    indices = (np.arange(kept) * step % 199999).astype(np.int32)
    indices = np.unique(indices)
    taps = 2000
    scales = np.random.default_rng(2).uniform(0.1, 1, 100).astype(np.float32)
    weight = coded(bits, (len(indices),), scales=scales, indices="indices", taps=taps)
    model = model_of(
        SPARSE.format(opset=17), size=np.array([200000], np.int64), indices=indices,
        values=np.zeros(len(indices), np.float32),
    )  # fmt: skip

    QuantizeWeights({"values": weight})(model)

    found = runner(plain_session(to_bytes(model)))({"x": np.zeros(4, np.float32)})["y"]
    units = weight.codes if weight.levels is None else weight.levels[weight.codes]
    np.testing.assert_array_equal(found[indices], units * scales[indices // taps])
    assert np.count_nonzero(found) <= len(indices)


def test_second_run_changes_nothing():
    model = dense_model()
    QuantizeWeights({"w": coded(8)})(model)
    before = to_bytes(model)

    assert not QuantizeWeights({"w": coded(8)})(model).modified
    assert to_bytes(model) == before


def test_weight_that_is_an_output_too_stays():
    model = dense_model()
    model.graph.outputs.append(model.graph.initializers["w"])

    assert not QuantizeWeights({"w": coded(8)})(model).modified
