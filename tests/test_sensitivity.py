"""What an approximated layer does to the outputs of the network."""

import numpy as np
import pytest

from models_in_text import model_of
from sparsepass import sensitivity
from sparsepass.algorithms.low_rank import LOW_RANK
from sparsepass.calibration import calibrate
from sparsepass.graph import layers
from sparsepass.run import RunOptions
from sparsepass.samples import inputs_of, random_samples
from sparsepass.sensitivity import Probe, Response, output_errors, relative_error, responses
from sparsepass.target import Target

TARGET = Target("avx512", 16)
# The two convolutions share a weight, the second has no bias of its own.
NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 32, 9, 9] x) => (float[1, 32, 9, 9] y) {
        [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w, b)
        [relu] r = Relu(a)
        [conv2] y = Conv<pads = [1, 1, 1, 1]>(r, w)
    }
"""


def network():
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((32, 32, 3, 3)) / 17).astype(np.float32)
    weight *= np.geomspace(1, 0.01, 32, dtype=np.float32).reshape(-1, 1, 1, 1)
    bias = rng.standard_normal(32).astype(np.float32)
    model = model_of(NETWORK, w=weight, b=bias)
    return model, layers(model).layers, random_samples(inputs_of(model), count=3)


def test_own_weights_change_nothing():
    model, (conv1, conv2), samples = network()
    probes = {
        layer.name: Probe(layer, lambda x=layer: (x.weight, x.bias)) for layer in (conv1, conv2)
    }

    assert output_errors(model, probes, samples) == {"conv1": 0.0, "conv2": 0.0}


def test_scaled_last_layer_scales_the_outputs_and_leaves_the_sharer_alone():
    model, (_, conv2), samples = network()
    scaled = Probe(conv2, lambda: (1.5 * conv2.weight, conv2.bias))

    errors = output_errors(model, {("conv2", 1): scaled}, samples)

    # 288 products are summed in float32.
    assert errors["conv2", 1] == pytest.approx(0.5, abs=2 * 288 * 2.0**-23)


def test_last_layer_answers_one_to_one_and_all_calls_are_reported(monkeypatch):
    # Its errors are exact on the samples that they are taken from.
    monkeypatch.setattr(sensitivity, "ALGORITHMS", (LOW_RANK,))
    model, found, samples = network()
    stats = calibrate(model, found, samples, lossy=True)
    calls = []
    options = RunOptions(progress=lambda stage, done, total: calls.append((done, total)))

    answers = responses(model, found, stats, TARGET, samples, options)

    # The output of conv2 is the network's: its error, in the calibration samples, is the expected.
    for layer_error, change in answers["conv2"].points:
        assert change == pytest.approx(layer_error, abs=288 * 2.0**-23)
    _, *steps = calls
    assert steps[-1] == (len(steps), len(steps))


def test_layers_without_moments_have_no_response():
    model, found, samples = network()

    assert responses(model, found, calibrate(model, found, samples), TARGET, samples) == {}


def test_response_goes_through_its_points_and_is_proportional_beyond():
    response = Response(((0.01, 0.001), (0.1, 0.1)))

    assert response.output_error(0.01) == pytest.approx(0.001)
    assert response.output_error(0.1) == pytest.approx(0.1)
    assert response.output_error(10**-1.5) == pytest.approx(0.01)
    assert response.output_error(0.005) == pytest.approx(0.0005)
    assert response.output_error(0.2) == pytest.approx(0.2)
    assert response.output_error(0.0) == 0


def test_relative_error_is_that_of_the_worst_output():
    reference = [{"a": np.array([3.0, 4.0]), "b": np.array([1.0]), "c": np.array([7])}]
    found = [{"a": np.array([3.0, 4.5]), "b": np.array([1.2]), "c": np.array([9])}]

    assert relative_error(reference, found) == pytest.approx(0.2)


def test_an_output_may_be_a_sequence():
    one, two = np.array([3.0, 4.0]), np.array([0.0])

    assert relative_error([{"s": [one, two]}], [{"s": [one * 1.1, two]}]) == pytest.approx(0.1)
    assert relative_error([{"s": [one, two]}], [{"s": [one]}]) == np.inf
    assert relative_error([{"s": None}], [{"s": None}]) == 0
