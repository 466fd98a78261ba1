import numpy as np
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import FoldScale


def after_conv(expression: str) -> str:
    return f"""
    g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {{
      t = Conv(x, w)
      y = {expression}
    }}
    """


PARAMS = {
    "w": normal(4, 3, 3, 3),
    "channel": 2 + np.abs(normal(1, 4, 1, 1, seed=1)),
    "one": np.float32(3.5),
    "image": normal(6, 6, seed=2),
}


@pytest.mark.parametrize(
    "expression",
    ["Mul(t, channel)", "Mul(channel, t)", "Div(t, one)", "Add(channel, t)", "Sub(t, channel)"],
)
def test_a_constant_per_channel_joins_the_conv(expression):
    model = model_of(after_conv(expression), **PARAMS)
    before = model.clone()

    result = FoldScale()(model)

    assert result.modified
    assert op_types(model) == ["Conv"]
    assert_same_outputs(before, model)
    assert not FoldScale()(model).modified


@pytest.mark.parametrize("expression", ["Mul(t, image)", "Sub(channel, t)", "Add(t, t)"])
def test_anything_else_is_kept(expression):
    model = model_of(after_conv(expression), **PARAMS)

    assert not FoldScale()(model).modified
