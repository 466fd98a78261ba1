"""What a layer absorbs of the nodes behind it."""

import math

import numpy as np
import pytest

from models_in_text import model_of, normal
from sparsepass.graph import fusions, layers
from sparsepass.layer import Epilogue

W = normal(4, 4, 3, 3)
SAME = "pads = [1, 1, 1, 1]"


def epilogues(text: str, **initializers) -> dict[str, Epilogue]:
    return {layer.name: layer.epilogue for layer in layers(model_of(text, **initializers)).layers}


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("Relu(t)", Epilogue(activation="Relu")),
        ("LeakyRelu<alpha = 0.25>(t)", Epilogue(activation="LeakyRelu", alpha=0.25)),
        ("Clip(t, low, high)", Epilogue(activation="Clip", low=-1.0, high=6.0)),
        ("Clip(t, , high)", Epilogue(activation="Clip", low=-math.inf, high=6.0)),
        ("Clip(t, high, low)", Epilogue()),
        ("HardSwish(t)", Epilogue(activation="HardSwish")),
        ("Sigmoid(t)", Epilogue()),
    ],
)
def test_an_activation_is_absorbed(activation, expected):
    found = epilogues(
        f"g (float[1, 4, 8, 8] x) => (float y) {{ [c] t = Conv(x, w) y = {activation} }}",
        w=W, low=np.float32(-1), high=np.float32(6),
    )  # fmt: skip

    assert found == {"c": expected}


SIXTH = "alpha = 0.16666667, beta = 0.5"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("g = Sigmoid(t) y = Mul(t, g)", "Silu"),
        ("g = Sigmoid(t) y = Mul(g, t)", "Silu"),
        (f"g = HardSigmoid<{SIXTH}>(t) y = Mul(t, g)", "HardSwish"),
        ("g = HardSigmoid(t) y = Mul(t, g)", ""),
        ("g = Sigmoid(t) y = Mul(g, g)", ""),
        ("g = Sigmoid(t) y = Add(t, g)", ""),
        ("g = Sigmoid(t) h = Relu(g) y = Mul(t, h)", ""),
        ("g = Sigmoid(x) y = Mul(t, g)", ""),
    ],
)
def test_a_product_with_its_own_gate_is_absorbed(lines, expected):
    found = epilogues(f"g (float[1, 4, 8, 8] x) => (float y) {{ [c] t = Conv(x, w) {lines} }}", w=W)

    assert found == {"c": Epilogue(activation=expected)}


@pytest.mark.parametrize("also", ["t", "g"])
def test_a_gate_that_others_see_is_not_absorbed(also):
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y, float {also}) {{
          [c] t = Conv(x, w) g = Sigmoid(t) y = Mul(t, g)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue()}


def test_what_others_see_is_not_absorbed():
    text = "g (float[1, 4, 8, 8] x) => (float y{0}) {{ [c] t = Conv(x, w) y = Relu(t) {1} }}"

    for more in [(", float t", ""), (", float z", "z = Neg(t)")]:
        assert epilogues(text.format(*more), w=W) == {"c": Epilogue()}


def test_a_residual_add_is_absorbed_by_the_later_of_two_convs():
    model = model_of(
        f"""
        g (float[N, 4, 8, 8] x) => (float y) {{
          [a] s = Conv<{SAME}>(x, w)
          [b] t = Conv<{SAME}>(x, w)
          [add] u = Add(t, s)
          [act] y = Relu(u)
        }}
        """,
        w=W,
    )

    found = fusions(model, {"a", "b"})

    assert [node.name for node in found["a"].nodes] == ["a"]
    assert [node.name for node in found["b"].nodes] == ["b", "add", "act"]
    assert found["b"].residual.name == "s"
    assert found["b"].epilogue == Epilogue(residual=True, activation="Relu")
    assert found["b"].output.name == "y"


def test_a_conv_that_cannot_absorb_leaves_the_add_to_the_other():
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y, float z) {{
          [a] s = Conv<{SAME}>(x, w)
          [b] t = Conv<{SAME}>(x, w)
          y = Add(t, s)
          z = Neg(t)
        }}
        """,
        w=W,
    )

    assert found == {"a": Epilogue(residual=True), "b": Epilogue()}


@pytest.mark.parametrize(
    "other", ["float[1, 4, 1, 1] r", "float[M, 4, 8, 8] r", "float[?, 4, 8, 8] r"]
)
def test_an_add_that_may_broadcast_is_not_absorbed(other):
    found = epilogues(
        f"""
        g (float[N, 4, 8, 8] x, {other}) => (float y) {{
          [c] t = Conv<{SAME}>(x, w)
          y = Add(t, r)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue()}


def test_an_activation_between_conv_and_add_ends_the_chain():
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y) {{
          [c] t = Conv<{SAME}>(x, w)
          u = Relu(t)
          y = Add(u, x)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue(activation="Relu")}
