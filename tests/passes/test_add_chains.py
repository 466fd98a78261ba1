"""Chains are added to convolutions; the outputs are those of both, and an op absorbs the sum."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of, normal, op_types, outputs_of
from sparsepass.algorithms import Factor
from sparsepass.errors import PlanError
from sparsepass.graph import fusions
from sparsepass.passes.add_chains import AddChains, names_beside, shapes_of_summands
from sparsepass.shapes import open_shapes

# The attributes of a convolution of 4 channels to 6 filters, and its input and output sizes.
GEOMETRIES = [
    ("kernel_shape = [3, 3], pads = [1, 1, 1, 1]", (9, 8), (9, 8)),
    ("kernel_shape = [3, 3], strides = [2, 1], pads = [0, 1, 2, 1]", (9, 8), (5, 8)),
    ("kernel_shape = [3, 2], dilations = [2, 3], pads = [1, 0, 1, 1]", (9, 8), (7, 6)),
    ('kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"', (9, 8), (5, 4)),
    ("kernel_shape = [1, 1], strides = [2, 2]", (9, 8), (5, 4)),
    ("kernel_shape = [3], strides = [2], pads = [1, 1]", (9,), (5,)),
]
by_geometry = pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry[0])
NETWORK = """
    g (float[N, 4, {before}] x) => (float[N, 6, {after}] z) {{
        [conv] y = Conv<{attributes}>(x, w, b)
        [relu] z = Relu(y)
    }}
"""
GROUPED = "g (float[1, 4, 9, 9] x) => (float[1, 6, 9, 9] y) { [conv] y = Conv<group = 2>(x, w) }"


def kernel_of(attributes):
    start = attributes.index("[") + 1
    return tuple(map(int, attributes[start : attributes.index("]")].split(",")))


def model_with(geometry, weight, bias):
    attributes, before, after = geometry
    sizes = {"before": before, "after": after}
    text = {name: ", ".join(map(str, value)) for name, value in sizes.items()}
    return model_of(NETWORK.format(attributes=attributes, **text), w=weight, b=bias)


def problem(geometry):
    """A network, a chain for it, and the network with the weight of their sum."""
    kernel = kernel_of(geometry[0])
    weight, bias = normal(6, 4, *kernel, seed=1), normal(6, seed=2)
    first, last, shift = normal(3, 4, *kernel, seed=3), normal(6, 3, seed=4), normal(6, seed=5)
    chain = (
        Factor(first, np.zeros(3, np.float32), spatial=True),
        Factor(last.reshape(6, 3, *[1] * len(kernel)), shift, spatial=False),
    )
    whole = weight + np.tensordot(last, first, axes=1)
    expected = model_with(geometry, whole.astype(np.float32), bias + shift)
    return model_with(geometry, weight, bias), chain, expected


@by_geometry
def test_outputs_are_those_of_the_sum_of_both_weights(geometry):
    model, chain, expected = problem(geometry)

    result = AddChains({"conv": chain})(model)

    assert result.modified
    CheckerPass(full_check=True)(model)
    before, after = outputs_of(expected)["z"], outputs_of(model)["z"]
    # Taps and ranks of products of normal numbers, each side rounds once more per product.
    terms, values = chain[0].weight[0].size, [factor.weight for factor in chain]
    scale = np.prod([np.abs(value).max() for value in values]) * 5
    np.testing.assert_allclose(after, before, rtol=0, atol=2 * terms * 3 * 2.0**-24 * scale)


@by_geometry
def test_the_sum_is_what_an_op_in_the_place_of_the_convolution_absorbs(geometry):
    model, chain, _ = problem(geometry)
    shapes = open_shapes(model)

    AddChains({"conv": chain})(model)

    assert [node.name for node in model.graph] == [
        "conv/beside0", "conv/beside1", "conv", "conv/sum", "relu",
    ]  # fmt: skip
    found = fusions(model, {"conv"}, {**shapes, **shapes_of_summands(model, {"conv"}, shapes)})
    assert [node.name for node in found["conv"].nodes] == ["conv", "conv/sum", "relu"]
    assert found["conv"].residual.name == "conv/beside1.output"
    assert found["conv"].epilogue.suffix == "AddRelu"
    assert found["conv"].output.name == "z"


def test_names_and_shapes_are_kept():
    model, chain, _ = problem(GEOMETRIES[1])

    AddChains({"conv": chain})(model)

    first, last, alone, both, _ = model.graph
    assert both.outputs[0].name == "y"
    assert list(alone.attributes.get_ints("strides")) == [2, 1]
    assert first.outputs[0].name in names_beside("conv")
    assert not last.attributes
    assert {"w", "b"} < set(model.graph.initializers)


def test_second_run_changes_nothing():
    model, chain, _ = problem(GEOMETRIES[0])
    AddChains({"conv": chain})(model)
    before = ir.to_onnx_text(model)

    result = AddChains({"conv": chain})(model)

    assert not result.modified
    assert ir.to_onnx_text(model) == before


def test_other_nodes_are_left_alone():
    model, chain, _ = problem(GEOMETRIES[0])

    assert not AddChains({"elsewhere": chain})(model).modified
    assert op_types(model) == ["Conv", "Relu"]


def test_factors_that_do_not_fit_are_refused():
    model, (first, last), _ = problem(GEOMETRIES[0])

    for chain in ((), (first,), (last, first), (first, first)):
        with pytest.raises(PlanError, match="conv: its factors"):
            AddChains({"conv": chain})(model)


def test_grouped_convolution_is_refused():
    weight = normal(6, 2, 1, 1)
    chain = (Factor(weight, np.zeros(6, np.float32), spatial=True),)

    with pytest.raises(PlanError, match="conv: not an ungrouped Conv"):
        AddChains({"conv": chain})(model_of(GROUPED, w=weight))
