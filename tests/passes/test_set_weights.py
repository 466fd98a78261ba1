"""Other weights in the same graph: names, shared weights, biases that were absent, factors."""

import numpy as np
import pytest

from models_in_text import model_of, normal
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import SetWeights

CONVOLUTION = """
    g (float[1, 3, 5, 5] x) => (float[1, 4, 3, 3] y) { [conv] y = Conv(x, weight) }
"""
SHARED = """
    g (float[1, 3, 5, 5] x) => (float[1, 3, 5, 5] y) {
        [one] a = Conv<pads = [1, 1, 1, 1]>(x, weight, bias)
        [two] y = Conv<pads = [1, 1, 1, 1]>(a, weight, bias)
    }
"""


def outputs(model, x):
    return runner(plain_session(to_bytes(model)))({"x": x})["y"]


def stored(model, name):
    return model.graph.initializers[name].const_value.numpy()


def set_weights(model, names=None, **weights):
    return SetWeights(weights, names or {})(model).modified


def test_a_weight_keeps_its_name_and_an_absent_bias_gets_one():
    model = model_of(CONVOLUTION, weight=normal(4, 3, 3, 3))
    weight, bias = normal(4, 3, 3, 3, seed=1), normal(4, seed=2)

    assert set_weights(model, conv=(weight, bias))

    assert set(model.graph.initializers) == {"weight", "weight.bias"}
    np.testing.assert_array_equal(stored(model, "weight"), weight)
    np.testing.assert_array_equal(stored(model, "weight.bias"), bias)


def test_a_bias_of_zeros_is_not_added():
    model = model_of(CONVOLUTION, weight=normal(4, 3, 3, 3))

    set_weights(model, conv=(normal(4, 3, 3, 3, seed=1), np.zeros(4, np.float32)))

    assert set(model.graph.initializers) == {"weight"}


def test_a_second_run_changes_nothing():
    model = model_of(CONVOLUTION, weight=normal(4, 3, 3, 3))
    arrays = normal(4, 3, 3, 3, seed=1), normal(4, seed=2)
    set_weights(model, conv=arrays)

    assert not set_weights(model, conv=arrays)


def test_a_weight_that_others_read_too_gets_a_copy():
    model = model_of(SHARED, weight=normal(3, 3, 3, 3), bias=normal(3))
    before = stored(model, "weight").copy()
    weight = normal(3, 3, 3, 3, seed=1)

    set_weights(model, one=(weight, normal(3, seed=2)))

    first, second = model.graph
    np.testing.assert_array_equal(first.inputs[1].const_value.numpy(), weight)
    np.testing.assert_array_equal(second.inputs[1].const_value.numpy(), before)
    assert first.inputs[1].name != second.inputs[1].name


def test_other_names_are_given_to_weight_and_bias():
    model = model_of(CONVOLUTION, weight=normal(4, 3, 3, 3))
    arrays = normal(4, 3, 3, 3, seed=1), normal(4, seed=2)

    set_weights(model, {"conv": "features.0.weight"}, conv=arrays)

    assert set(model.graph.initializers) == {"features.0.weight", "features.0.bias"}


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_computes_with_the_weight_as_layers_have_it(transposed):
    model = model_of(
        f"""
        g (float[2, 6] x) => (float[2, 4] y) {{
            [gemm] y = Gemm<transB = {transposed}, alpha = 0.5, beta = 2.0>(x, weight, bias)
        }}
        """,
        weight=normal(4, 6) if transposed else normal(6, 4),
        bias=normal(4),
    )
    weight, bias, x = normal(4, 6, seed=1), normal(4, seed=2), normal(2, 6, seed=3)

    set_weights(model, gemm=(weight, bias))

    # 6 products and a sum, each with a rounding of values of a few units.
    np.testing.assert_allclose(outputs(model, x), x @ weight.T + bias, atol=8 * 2.0**-23 * 16)


def test_a_gemm_that_multiplies_by_nothing_reads_what_it_is_given():
    model = model_of(
        """
        g (float[2, 6] x) => (float[2, 4] y) {
            [gemm] y = Gemm<alpha = 0.0, beta = 0.0>(x, weight, bias)
        }
        """,
        weight=normal(6, 4),
        bias=normal(4),
    )
    weight, bias, x = normal(4, 6, seed=1), normal(4, seed=2), normal(2, 6, seed=3)

    set_weights(model, gemm=(weight, bias))

    np.testing.assert_allclose(outputs(model, x), x @ weight.T + bias, atol=8 * 2.0**-23 * 16)


def test_layers_that_are_not_named_stay():
    model = model_of(SHARED, weight=normal(3, 3, 3, 3), bias=normal(3))
    x = normal(1, 3, 5, 5, seed=4)
    before = outputs(model, x)

    assert not set_weights(model)

    np.testing.assert_array_equal(outputs(model, x), before)
