import math

import numpy as np
import onnx_ir as ir
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.algorithms import algorithm
from sparsepass.graph import layers
from sparsepass.model import to_bytes
from sparsepass.passes import LowerConvolutions
from sparsepass.runtime import session
from sparsepass.runtime.replacements import add_functions, replacement

RESIDUAL_BLOCK = """
g (float[N, 8, 9, 9] x) => (float[N, 8, 9, 9] y) {
  [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
  [relu1] r = Relu(a)
  [conv2] c = Conv<pads = [1, 1, 1, 1]>(r, w2, b2)
  [add] s = Add(c, x)
  [relu2] y = Relu(s)
}
"""
GATED_BLOCK = """
g (float[N, 8, 9, 9] x) => (float[N, 8, 9, 9] y) {
  [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
  [gate1] h = Sigmoid(a)
  [mul1] r = Mul(a, h)
  [conv2] c = Conv<pads = [1, 1, 1, 1]>(r, w2, b2)
  [add] s = Add(c, x)
  [gate2] g = HardSigmoid<alpha = 0.16666667, beta = 0.5>(s)
  [mul2] y = Mul(g, s)
}
"""
ONE_DIMENSIONAL = """
g (float[N, 8, 20] x) => (float[N, 6, 9] y) {
  [conv] c = Conv<pads = [1, 2], strides = [2], dilations = [3]>(x, w, b)
  [relu] y = LeakyRelu<alpha = 0.3>(c)
}
"""
CLIPPED = """
<ir_version: 8, opset_import: ["": {opset}]>
g (float[2, 8, 9, 9] x) => (float[2, 6, 7, 7] y)
{initializers}
{{
  [conv] c = Conv(x, w, b)
  [clip] y = {clip}
}}
"""


def sparse(*shape: int, seed: int = 0) -> np.ndarray:
    kept = np.random.default_rng(seed).random(shape) < 0.3
    return np.where(kept, normal(*shape, seed=seed), np.float32(0))


def weights(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """``w1``, ``b1``, ``w2``, ... or ``w`` and ``b`` where there is one shape."""
    names = [""] if len(shapes) == 1 else range(1, len(shapes) + 1)
    return {
        key: value
        for name, shape in zip(names, shapes, strict=True)
        for key, value in (
            (f"w{name}", sparse(*shape, seed=len(str(name)))),
            (f"b{name}", normal(shape[0])),
        )
    }


def lowering(model: ir.Model, *names: str) -> LowerConvolutions:
    """The pass that turns the named layers, or all, into weight-sparse ops."""
    row = algorithm("spmm")
    return LowerConvolutions(
        {
            layer.name: replacement(layer, row, row.pack(layer, None, {}), model.opset_imports[""])
            for layer in layers(model).layers
            if not names or layer.name in names
        }
    )


def assert_same_with_and_without_the_library(before: ir.Model, after: ir.Model) -> None:
    add_functions(after)
    assert_same_outputs(before, after)
    feeds = {
        value.name: normal(*(d if isinstance(d, int) else 2 for d in value.shape))
        for value in after.graph.inputs
    }
    kernels, plain = (session(to_bytes(m), threads=1).run(None, feeds) for m in (after, before))
    terms = sum(
        math.prod(value.shape.numpy()[1:])
        for value in before.graph.initializers.values()
        if len(value.shape) > 1
    )
    for actual, expected in zip(kernels, plain, strict=True):
        allowed = 2 * np.finfo(np.float32).eps * terms * np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=allowed)


def test_a_residual_block_becomes_two_ops():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))
    before = model.clone()

    result = lowering(model)(model)

    assert result.modified
    assert op_types(model) == ["SparseConvRelu", "SparseConvAddRelu"]
    assert [node.name for node in model.graph] == ["conv1", "conv2"]
    assert model.opset_imports["ai.sparsepass"] == 1
    assert model.graph.outputs[0].name == "y"
    assert_same_with_and_without_the_library(before, model)


def test_gated_activations_become_part_of_their_ops():
    model = model_of(GATED_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))
    before = model.clone()

    lowering(model)(model)

    assert op_types(model) == ["SparseConvSilu", "SparseConvAddHardSwish"]
    assert_same_with_and_without_the_library(before, model)


def test_weights_that_nothing_reads_any_more_are_gone():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))

    lowering(model, "conv2")(model)

    assert set(model.graph.initializers) == {
        "w1", "b1", "conv2.values", "conv2.indices", "conv2.bias",
    }  # fmt: skip


def test_a_layer_that_is_not_named_stays():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))
    before = model.clone()

    lowering(model, "conv1")(model)

    assert op_types(model) == ["SparseConvRelu", "Conv", "Add", "Relu"]
    assert_same_with_and_without_the_library(before, model)


def test_one_dimension_becomes_two_and_one_again():
    model = model_of(ONE_DIMENSIONAL, **weights((6, 8, 3)))
    before = model.clone()

    lowering(model)(model)

    assert op_types(model) == ["Unsqueeze", "SparseConvLeakyRelu", "Squeeze"]
    assert_same_with_and_without_the_library(before, model)


@pytest.mark.parametrize(
    "residual",
    [
        "r",
    ],
)
def test_a_residual_of_one_dimension_is_reshaped_too(residual):
    model = model_of(
        f"""
        g (float[N, 8, 20] x, float[N, 8, 20] r) => (float[N, 8, 20] y) {{
          [conv] c = Conv<pads = [1, 1]>(x, w, b)
          [add] y = Add(c, {residual})
        }}
        """,
        **weights((8, 8, 3)),
    )
    before = model.clone()

    lowering(model)(model)

    assert op_types(model)[-2:] == ["SparseConvAdd", "Squeeze"]
    assert len({node.name for node in model.graph}) == len(model.graph)
    assert_same_with_and_without_the_library(before, model)


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 17, 21])
def test_the_bounds_of_a_clip_survive_in_every_opset(opset):
    clip = "Clip<min = -0.25, max = 0.5>(c)" if opset < 11 else "Clip(c, low, high)"
    bounds = "" if opset < 11 else "<float low = {-0.25}, float high = {0.5}>"
    text = CLIPPED.format(opset=opset, clip=clip, initializers=bounds)
    model = model_of(text, **weights((6, 8, 3, 3)))
    before = model.clone()

    lowering(model)(model)

    assert op_types(model) == ["SparseConvClip"]
    assert_same_with_and_without_the_library(before, model)


@pytest.mark.parametrize("attributes", ["group = 2", "strides = [2, 3]", "dilations = [2, 1]"])
def test_attributes_survive(attributes):
    channels = 4 if "group" in attributes else 8
    text = f"""
    g (float[N, 8, 13, 13] x) => (float[N, 6, P, Q] y) {{
      [conv] y = Conv<pads = [0, 1, 2, 3], {attributes}>(x, w, b)
    }}
    """
    model = model_of(text, **weights((6, channels, 3, 3)))
    before = model.clone()

    lowering(model)(model)

    assert op_types(model) == ["SparseConv"]
    assert_same_with_and_without_the_library(before, model)


def test_a_convolution_without_bias_gets_one_of_zeros():
    model = model_of(
        "g (float[N, 8, 9, 9] x) => (float[N, 6, 7, 7] y) { [conv] y = Conv(x, w) }",
        w=sparse(6, 8, 3, 3),
    )
    before = model.clone()

    lowering(model)(model)

    assert not model.graph.initializers["conv.bias"].const_value.numpy().any()
    assert_same_with_and_without_the_library(before, model)


def test_a_value_that_something_else_reads_is_not_absorbed():
    model = model_of(
        """
        g (float[N, 8, 9, 9] x) => (float[N, 8, 9, 9] y, float[N, 8, 9, 9] z) {
          [conv] c = Conv<pads = [1, 1, 1, 1]>(x, w, b)
          [relu] y = Relu(c)
          [neg] z = Neg(c)
        }
        """,
        **weights((8, 8, 3, 3)),
    )
    before = model.clone()

    lowering(model)(model)

    assert op_types(model) == ["SparseConv", "Relu", "Neg"]
    assert_same_with_and_without_the_library(before, model)


def test_a_weight_that_two_layers_share_is_kept_for_the_other():
    model = model_of(
        """
        g (float[N, 8, 9, 9] x) => (float[N, 8, 9, 9] y) {
          [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w, b)
          [conv2] y = Conv<pads = [1, 1, 1, 1]>(a, w, b)
        }
        """,
        **weights((8, 8, 3, 3)),
    )
    before = model.clone()

    lowering(model, "conv1")(model)

    assert op_types(model) == ["SparseConv", "Conv"]
    assert {"w", "b"} <= set(model.graph.initializers)
    assert_same_with_and_without_the_library(before, model)


def test_a_second_run_changes_nothing():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))
    lower = lowering(model)
    lower(model)

    assert not lower(model).modified


def test_each_op_has_one_function_body():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))
    lowering(model)(model)

    add_functions(model)
    add_functions(model)

    assert {name for _, name, _ in model.functions} == {"SparseConvRelu", "SparseConvAddRelu"}


def test_nodes_say_which_algorithm_they_stand_for():
    model = model_of(RESIDUAL_BLOCK, **weights((8, 8, 3, 3), (8, 8, 3, 3)))

    lowering(model)(model)

    (metadata,) = {tuple(node.metadata_props.items()) for node in model.graph}
    assert metadata == (("ai.sparsepass.algorithm", "spmm"),)


PRODUCT = """
g (float[{shape}] x) => (float[{out}] y) {{
  [product] p = {op}(x, w{bias})
  [relu] y = Relu(p)
}}
"""


@pytest.mark.parametrize(
    ("op", "shape", "out"),
    [("Gemm", "N, 6", "N, 5"), ("MatMul", "N, 6", "N, 5"), ("MatMul", "N, 3, 6", "N, 3, 5")],
)
def test_a_product_runs_as_a_convolution_of_its_rows(op, shape, out):
    rng = np.random.default_rng(0)
    weight = normal(6, 5) * (rng.random((6, 5)) < 0.4).astype(np.float32)
    bias = {"b": normal(5, seed=1)} if op == "Gemm" else {}
    model = model_of(
        PRODUCT.format(op=op, shape=shape, out=out, bias=", b" if bias else ""), w=weight, **bias
    )
    before = model.clone()
    (layer,) = layers(model).layers
    spmm = algorithm("spmm")
    packed = spmm.pack(layer, None, {})

    LowerConvolutions({layer.name: replacement(layer, spmm, packed, 17)})(model)
    add_functions(model)

    assert "SparseConvRelu" in op_types(model)
    assert_same_outputs(before, model)
