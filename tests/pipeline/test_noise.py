import math

import numpy as np

from models_in_text import model_of, normal
from sparsepass.graph import layers
from sparsepass.passes import NameNodes
from sparsepass.pipeline.noise import UNIT_ROUNDOFF, disturbed, rounding_noise
from sparsepass.pipeline.study import read
from sparsepass.run import DEFAULTS
from sparsepass.samples import random_samples

CONV = "g (float[1, 3, 6, 6] x) => (float[1, 4, 6, 6] y) { [conv] y = Conv<pads=[1,1,1,1]>(x, w) }"


def test_weights_move_by_the_square_root_of_their_terms():
    model = model_of(CONV, w=normal(4, 3, 3, 3) + 8)

    moved = disturbed(model, layers(model).layers, seed=0)

    before, after = (m.graph.initializers["w"].const_value.numpy() for m in (model, moved))
    shares = np.abs(after.astype(np.float64) / before - 1)
    # Rounding the disturbed weight to float32 moves it by at most one unit roundoff more.
    assert np.abs(shares / UNIT_ROUNDOFF - math.sqrt(3 * 9 + 1)).max() <= 1.01


def test_a_weight_of_two_layers_is_disturbed_once():
    text = (
        "g (float[1, 3, 6, 6] x) => (float[1, 3, 6, 6] y) { [a] t = Conv(x, w) [b] y = Conv(t, w) }"
    )
    model = model_of(text, w=normal(3, 3, 1, 1) + 8)
    NameNodes()(model)

    moved = disturbed(model, layers(model).layers, seed=0)

    before, after = (m.graph.initializers["w"].const_value.numpy() for m in (model, moved))
    assert np.abs(after / before - 1).max() <= (math.sqrt(4) + 1.01) * UNIT_ROUNDOFF


def test_noise_is_that_of_a_sum_in_another_order():
    prepared = read(model_of(CONV, w=normal(4, 3, 3, 3)), DEFAULTS)
    samples = random_samples(prepared.inputs, count=2)

    noise = rounding_noise(prepared, samples, DEFAULTS).outputs["y"]

    # 27 terms of order 1: between one rounding and the worst case of all of the same sign.
    assert UNIT_ROUNDOFF < noise.absolute < 27**1.5 * 8 * UNIT_ROUNDOFF


def test_a_network_without_layers_has_no_noise():
    model = model_of("g (float[1, 3] x) => (float[1, 3] y) { [relu] y = Relu(x) }")
    prepared = read(model, DEFAULTS)
    samples = random_samples(prepared.inputs, count=1)

    assert rounding_noise(prepared, samples, DEFAULTS).outputs["y"].absolute == 0
