"""Thresholds on activations against the mathematics that they stand for."""

from dataclasses import replace

import numpy as np
import pytest
from test_pruned_options import HERE, inputs, layer_of, outputs, stats_of

from sparsepass.accumulators import InputZeros
from sparsepass.algorithms.threshold import THRESHOLD
from sparsepass.sparsity import Stats


def stats_with_zeros(layer, images=64) -> Stats:
    zeros = InputZeros(layer)
    zeros.add(inputs(layer, images))
    return replace(stats_of(layer, images), input=zeros.result())


@pytest.fixture(scope="module")
def problem():
    layer = layer_of(channels=32, filters=64)
    return layer, stats_with_zeros(layer)


def test_expected_error_is_the_error_of_the_outputs(problem, monkeypatch):
    layer, stats = problem
    x, y = inputs(layer), outputs(layer, layer.weight, layer.bias)

    options = THRESHOLD.options(layer, stats, HERE)

    assert options
    for option in options:
        packed = THRESHOLD.pack(layer, stats, option.parameters)
        cut = np.where(x > packed.cut.above, x, 0)
        monkeypatch.setattr("test_pruned_options.inputs", lambda layer, images=8, cut=cut: cut)
        found = outputs(layer, layer.weight, packed.bias)
        assert np.mean(cut == 0) == pytest.approx(option.parameters["input_zeros"] / 100, abs=0.02)
        assert np.linalg.norm(found - y) / np.linalg.norm(y) == pytest.approx(option.error, rel=0.1)


def test_more_zeros_are_less_work_and_more_error(problem):
    layer, stats = problem
    options = THRESHOLD.options(layer, stats, HERE)

    assert all(np.diff([option.error for option in options]) > 0)
    assert all(np.diff([option.work.macs for option in options]) < 0)


def test_negative_inputs_are_refused(problem):
    layer, stats = problem
    below = replace(stats.patches, drawn=stats.patches.drawn - 1)

    assert "negative" in THRESHOLD.refuse(layer, replace(stats, patches=below), HERE)
