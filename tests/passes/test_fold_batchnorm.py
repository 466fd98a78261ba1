import numpy as np
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import FoldBatchNorm

CONV_NORM = """
g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {
  t = Conv(x, w)
  y = BatchNormalization<epsilon=0.01>(t, gamma, beta, mean, var)
}
"""
WITH_BIAS = CONV_NORM.replace("Conv(x, w)", "Conv(x, w, b)")
READ_TWICE = CONV_NORM.replace("y = Batch", "n = Batch").replace("var)", "var)\n  y = Add(n, t)")
NORM_FIRST = """
g (float[1, 4, 8, 8] x) => (float[1, 4, 6, 6] y) {
  n = BatchNormalization(x, gamma, beta, mean, var)
  r = Relu(n)
  y = Conv(r, w4)
}
"""


@pytest.fixture
def params():
    return {
        "w": normal(4, 3, 3, 3), "w4": normal(4, 4, 3, 3, seed=1), "b": normal(4, seed=2),
        "gamma": normal(4, seed=3), "beta": normal(4, seed=4),
        "mean": normal(4, seed=5), "var": np.abs(normal(4, seed=6)),
    }  # fmt: skip


@pytest.mark.parametrize("text", [CONV_NORM, WITH_BIAS], ids=["no bias", "bias"])
def test_conv_norm_becomes_one_conv(text, params):
    model = model_of(text, **params)
    before = model.clone()

    result = FoldBatchNorm()(model)

    assert result.modified
    assert op_types(model) == ["Conv"]
    assert_same_outputs(before, model)


@pytest.mark.parametrize("text", [READ_TWICE, NORM_FIRST], ids=["read twice", "norm before conv"])
def test_norm_that_is_not_alone_after_its_conv_is_kept(text, params):
    model = model_of(text, **params)

    assert not FoldBatchNorm()(model).modified


def test_a_weight_that_two_convs_share_is_folded_for_each(params):
    model = model_of(
        """
        g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y, float[1, 4, 6, 6] z) {
          t = Conv(x, w)
          y = BatchNormalization(t, gamma, beta, mean, var)
          z = Conv(x, w)
        }
        """,
        **params,
    )
    before = model.clone()

    FoldBatchNorm()(model)

    assert op_types(model) == ["Conv", "Conv"]
    assert_same_outputs(before, model)


def test_negative_variance_is_kept(params):
    model = model_of(CONV_NORM, **params | {"var": -np.ones(4, np.float32)})

    assert not FoldBatchNorm()(model).modified


def test_second_run_changes_nothing(params):
    model = model_of(CONV_NORM, **params)
    FoldBatchNorm()(model)

    assert not FoldBatchNorm()(model).modified
