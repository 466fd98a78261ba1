"""N of every M channels of an input against the mathematics that they stand for."""

from dataclasses import replace

import numpy as np
import pytest
from test_pruned_options import HERE, inputs, layer_of, outputs
from test_threshold_options import stats_with_zeros

from sparsepass.algorithms import Largest
from sparsepass.algorithms.nm_input import NM_INPUT


def kept_of(x, kept, block):
    blocks = x.reshape(len(x), -1, block, *x.shape[2:])
    least = np.sort(np.abs(blocks), axis=2)[:, :, block - kept, None]
    return np.where(np.abs(blocks) >= least, blocks, 0).reshape(x.shape)


@pytest.fixture(scope="module", params=[1, 2], ids=lambda groups: f"groups{groups}")
def problem(request):
    layer = layer_of(channels=32, filters=64, groups=request.param)
    return layer, stats_with_zeros(layer)


def test_expected_error_is_the_error_of_the_outputs(problem, monkeypatch):
    layer, stats = problem
    x, y = inputs(layer), outputs(layer, layer.weight, layer.bias)

    options = NM_INPUT.options(layer, stats, HERE)

    assert options
    for option in options:
        packed = NM_INPUT.pack(layer, stats, option.parameters)
        assert packed.cut == Largest(option.parameters["n"], option.parameters["m"])
        cut = kept_of(x, packed.cut.kept, packed.cut.block)
        monkeypatch.setattr("test_pruned_options.inputs", lambda layer, images=8, cut=cut: cut)
        found = outputs(layer, layer.weight, packed.bias)
        assert np.linalg.norm(found - y) / np.linalg.norm(y) == pytest.approx(option.error, rel=0.1)


def test_more_that_is_kept_is_more_work_and_less_error(problem):
    layer, stats = problem
    options = NM_INPUT.options(layer, stats, HERE)

    assert all(np.diff([option.error for option in options]) < 0)
    assert all(np.diff([option.work.macs for option in options]) > 0)


def test_no_image_has_more_than_n_of_m(problem):
    layer, stats = problem
    dense = replace(stats, input=replace(stats.input, zeros_mean=0.0, zeros_p10=0.0, zeros_p90=0.0))

    for option in NM_INPUT.options(layer, dense, HERE):
        most = option.parameters["n"] / option.parameters["m"]
        assert option.work.macs <= layer.macs * most * 1.001


def test_channels_that_are_no_whole_blocks_are_refused():
    layer = layer_of(channels=24, filters=64)

    assert "whole blocks" in NM_INPUT.refuse(layer, stats_with_zeros(layer), HERE)
