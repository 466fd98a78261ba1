"""Convolutions become chains; the outputs stay those of the factors' product."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of
from sparsepass.algorithms import Factor
from sparsepass.errors import PlanError
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes.factor_convolutions import FactorConvolutions

NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 4, 9, 9] x) => (float[N, 6, 5, 5] y) {
        [conv] y = Conv<pads = [1, 1, 1, 1], strides = [2, 2], kernel_shape = [3, 3]>(x, w, b)
    }
"""
GROUPED = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 4, 9, 9] x) => (float[1, 6, 9, 9] y) { [conv] y = Conv<group = 2>(x, w) }
"""


def exact_problem():
    """A network whose weight is the product of two factors, and the factors."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((3, 4, 3, 3)).astype(np.float32)
    second = rng.standard_normal((6, 3, 1, 1)).astype(np.float32)
    bias = rng.standard_normal(6).astype(np.float32)
    weight = np.einsum("kr,rcij->kcij", second[:, :, 0, 0], first)
    model = model_of(NETWORK, w=weight, b=bias)
    chain = (
        Factor(first, np.zeros(3, np.float32), spatial=True),
        Factor(second, bias, spatial=False),
    )
    return model, chain


def test_chain_computes_the_same_outputs():
    model, chain = exact_problem()
    x = np.random.default_rng(1).standard_normal((2, 4, 9, 9)).astype(np.float32)
    before = runner(plain_session(to_bytes(model)))({"x": x})["y"]

    result = FactorConvolutions({"conv": chain})(model)

    after = runner(plain_session(to_bytes(model)))({"x": x})["y"]
    assert result.modified
    # 36 + 3 products of normal numbers, each side rounds once more per product.
    scale = np.abs(chain[0].weight).max() * np.abs(chain[1].weight).max() * np.abs(x).max()
    np.testing.assert_allclose(after, before, rtol=0, atol=2 * 36 * 3 * 2.0**-24 * scale)


def test_graph_is_valid_and_keeps_the_output_name_and_the_stride():
    model, chain = exact_problem()

    FactorConvolutions({"conv": chain})(model)

    CheckerPass(full_check=True)(model)
    first, second = model.graph
    assert [node.name for node in model.graph] == ["conv/factor0", "conv/factor1"]
    assert list(first.attributes.get_ints("strides")) == [2, 2]
    assert not second.attributes
    assert second.outputs[0].name == "y"
    assert first.outputs[0].shape == ir.Shape(["N", 3, 5, 5])


def test_old_parameters_are_dropped():
    model, chain = exact_problem()

    FactorConvolutions({"conv": chain})(model)

    assert not {"w", "b"} & set(model.graph.initializers)
    assert len(model.graph.initializers) == 4


def test_second_run_changes_nothing():
    model, chain = exact_problem()
    FactorConvolutions({"conv": chain})(model)
    before = ir.to_onnx_text(model)

    result = FactorConvolutions({"conv": chain})(model)

    assert not result.modified
    assert ir.to_onnx_text(model) == before


def test_other_nodes_are_left_alone():
    model, chain = exact_problem()

    assert not FactorConvolutions({"elsewhere": chain})(model).modified


def test_factors_that_do_not_fit_are_refused():
    model, (first, second) = exact_problem()
    flat = Factor(first.weight[..., :1, :1], first.bias, spatial=True)

    for chain in ((), (first,), (second, first), (flat, second), (first, first)):
        with pytest.raises(PlanError, match="conv: its factors"):
            FactorConvolutions({"conv": chain})(model)


def test_grouped_convolution_is_refused():
    weight = np.ones((6, 2, 1, 1), np.float32)
    model = model_of(GROUPED, w=weight)
    chain = (Factor(weight, np.zeros(6, np.float32), spatial=True),)

    with pytest.raises(PlanError, match="conv: not an ungrouped Conv"):
        FactorConvolutions({"conv": chain})(model)
