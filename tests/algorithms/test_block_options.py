"""Blocks of zeros as offers of a layer."""

from dataclasses import replace

import numpy as np
import pytest
from test_pruned_options import HERE, layer_of, outputs, stats_of

from sparsepass.algorithms.blocks import BLOCKS
from sparsepass.algorithms.prune import PRUNE
from sparsepass.algorithms.weight_sparse import spmm_work


def share_of_zero_blocks(weight):
    """Zeros in whole blocks of four channels, a short last one too, over all weights."""
    firsts = range(0, weight.shape[1], 4)
    kept = np.logical_or.reduceat(weight != 0, firsts, axis=1)
    sizes = np.diff(firsts, append=weight.shape[1])
    return np.sum(~kept * sizes[:, None, None]) / weight.size


@pytest.fixture(
    scope="module",
    params=[
        layer_of(channels=16),
        layer_of(channels=10),
        layer_of(channels=24, groups=2),
        layer_of(channels=18, kernel=(1, 1)),
    ],
    ids=["3x3", "a short block", "groups", "1x1"],
)
def problem(request):
    return request.param, stats_of(request.param, images=16)


def test_zeros_are_whole_blocks_and_as_many_as_the_setting_says(problem):
    layer, stats = problem

    options = BLOCKS.options(layer, stats, HERE)

    assert [option.parameters["zeros"] for option in options] == list(range(50, 100, 5))
    for option in options:
        weight, _ = BLOCKS.approximate(layer, stats, option.parameters)
        zeros = np.mean(weight == 0)
        assert share_of_zero_blocks(weight) == pytest.approx(zeros)
        # A block of each group, and half a weight that rounding a percentage takes.
        spare = (4 * layer.groups) / weight.size
        assert -spare < zeros - option.parameters["zeros"] / 100 < spare


def test_expected_error_and_work_are_those_of_the_weight(problem):
    layer, stats = problem
    y = outputs(layer, layer.weight, layer.bias)

    for option in BLOCKS.options(layer, stats, HERE):
        weight, bias = BLOCKS.approximate(layer, stats, option.parameters)
        error = np.linalg.norm(outputs(layer, weight, bias) - y) / np.linalg.norm(y)
        assert option.work == spmm_work(replace(layer, weight=weight), HERE)
        # The outputs are those of half of the images that the moments are of.
        assert error == pytest.approx(option.error, rel=0.15)


def test_free_zeros_cost_less(problem):
    layer, stats = problem

    free, blocks = (row.options(layer, stats, HERE) for row in (PRUNE, BLOCKS))

    assert all(one.error < other.error for one, other in zip(free, blocks, strict=True))


def test_a_layer_that_has_zeros_is_offered_more():
    layer = layer_of(channels=16)
    layer.weight[:, 4:] = 0

    options = BLOCKS.options(layer, stats_of(layer, 40), HERE)

    assert [option.parameters["zeros"] for option in options] == [80, 85, 90, 95]


@pytest.mark.parametrize(
    ("channels", "groups", "reason"),
    [(3, 1, "few channels"), (6, 2, "few channels"), (16, 16, "depthwise")],
)
def test_layers_without_blocks_are_refused(channels, groups, reason):
    layer = layer_of(channels=channels, groups=groups)

    assert reason in BLOCKS.refuse(layer, stats_of(layer), HERE)
