"""Weights fitted again where the layers before them are approximated."""

import numpy as np
import pytest

from models_in_text import model_of, normal
from sparsepass.graph import layers
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.reconstruction import reconstructed, with_weights
from sparsepass.samples import inputs_of, load_samples
from sparsepass.sensitivity import relative_error

NETWORK = """
    g (float[N, 4, 8, 8] x) => (float[N, 8, 8, 8] y) {
        [one] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
        [relu] r = Relu(a)
        [two] c = Conv<pads = [1, 1, 1, 1]>(r, w2)
        [add] s = Add(c, r)
        [relu2] t = Relu(s)
        [three] y = Conv(t, w3)
    }
"""


@pytest.fixture
def network():
    weights = {
        "w1": normal(8, 4, 3, 3), "b1": normal(8, seed=1), "w2": normal(8, 8, 3, 3, seed=2) / 8,
        "w3": normal(8, 8, 1, 1, seed=3),
    }  # fmt: skip
    model = model_of(NETWORK, **weights)
    return model, layers(model).layers


def samples(model, seed=0, count=24):
    x = np.random.default_rng(seed).random((count, 4, 8, 8)).astype(np.float32)
    return load_samples(x, inputs_of(model, {"x": (1, 4, 8, 8)}))


def magnitude(found):
    """Half of the weights, those of largest magnitude."""
    return {
        layer.name: (
            np.where(np.abs(layer.weight) >= np.median(np.abs(layer.weight)), layer.weight, 0),
            layer.bias,
        )
        for layer in found
    }


def error_of(model, found, weights):
    feeds = list(samples(model, seed=9))
    runs = [
        runner(plain_session(to_bytes(m))) for m in (model, with_weights(model, found, weights))
    ]
    reference, changed = ([run(feed) for feed in feeds] for run in runs)
    return relative_error(reference, changed)


def test_error_falls_and_zeros_stay(network):
    model, found = network
    weights = magnitude(found)

    fitted = reconstructed(model, found, weights, {layer.name for layer in found}, samples(model))

    assert error_of(model, found, fitted) < 0.7 * error_of(model, found, weights)
    for name, (weight, _) in fitted.items():
        assert not weight[weights[name][0] == 0].any()


def test_a_last_layer_without_zeros_makes_up_for_others(network):
    model, found = network
    weights = magnitude(found[:2]) | {"three": (found[2].weight, found[2].bias)}

    fitted = reconstructed(model, found, weights, {"three"}, samples(model))

    assert error_of(model, found, fitted) < error_of(model, found, weights)
    for name in ("one", "two"):
        np.testing.assert_array_equal(fitted[name][0], weights[name][0])


def test_weights_that_are_right_stay_right(network):
    model, found = network
    weights = {layer.name: (layer.weight, layer.bias) for layer in found}

    fitted = reconstructed(model, found, weights, set(weights), samples(model))

    assert error_of(model, found, fitted) < 1e-3


def test_the_model_is_not_changed(network):
    model, found = network
    before = to_bytes(model)

    reconstructed(model, found, magnitude(found), {"two"}, samples(model))

    assert to_bytes(model) == before
