import numpy as np
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import ConvolveBatchNorm


def normalized(shape: str = "N, 6, 7, 5", attributes: str = "epsilon = 0.01", **changes):
    parameters = {
        "gamma": normal(6, seed=1), "beta": normal(6, seed=2), "mean": normal(6, seed=3),
        "variance": np.abs(normal(6, seed=4)),
    }  # fmt: skip
    return model_of(
        f"""
        g (float[{shape}] x) => (float y) {{
          r = Relu(x)
          [norm] y = BatchNormalization<{attributes}>(r, gamma, beta, mean, variance)
        }}
        """,
        **(parameters | changes),
    )


def test_a_normalisation_becomes_a_depthwise_convolution():
    model = normalized()
    before = model.clone()

    result = ConvolveBatchNorm()(model)

    assert result.modified
    assert op_types(model) == ["Relu", "Conv"]
    assert model.graph[1].name == "norm"
    assert model.graph[1].attributes["group"].value == 6
    assert_same_outputs(before, model)
    assert not ConvolveBatchNorm()(model).modified


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": "N, 6, 7"},
        {"shape": "N, C, 7, 5"},
        {"attributes": "training_mode = 1"},
        {"variance": np.full(6, -1, np.float32)},
        {"gamma": np.full(6, 3e38, np.float32), "variance": np.full(6, 1e-6, np.float32)},
    ],
    ids=["three axes", "open channels", "training", "no number", "overflow"],
)
def test_what_is_no_such_convolution_is_kept(changes):
    model = normalized(**changes)

    assert not ConvolveBatchNorm()(model).modified


def test_parameters_that_are_computed_are_kept():
    model = model_of(
        """
        g (float[N, 6, 7, 5] x, float[6] gamma) => (float y) {
          y = BatchNormalization(x, gamma, beta, beta, beta)
        }
        """,
        beta=normal(6),
    )

    assert not ConvolveBatchNorm()(model).modified
