"""Pruned layers against the mathematics that they stand for."""

from dataclasses import replace

import numpy as np
import pytest

from sparsepass.accumulators import InputMoments
from sparsepass.algorithms.prune import PRUNE
from sparsepass.algorithms.weight_sparse import spmm_work
from sparsepass.layer import Layer
from sparsepass.runtime.library import target
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target

HERE: Target = target(None)


def layer_of(channels=6, filters=16, groups=1, kernel=(3, 3), op_type="Conv"):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((filters, channels // groups, *kernel)).astype(np.float32)
    axes = len(kernel)
    return Layer(
        "layer", op_type, 1, groups, kernel, (1,) * axes, (1,) * axes, (0,) * 2 * axes,
        (12,) * axes, weight, rng.standard_normal(filters).astype(np.float32),
    )  # fmt: skip


def inputs(layer, images=8):
    rng = np.random.default_rng(1)
    return rng.random((images, layer.channels, *layer.input_spatial)).astype(np.float32) ** 2


def stats_of(layer, images=8):
    sums = InputMoments(layer, seed=0)
    sums.add(inputs(layer, images))
    return Stats(weight_stats(layer), patches=sums.result())


def outputs(layer, weight, bias):
    x = inputs(layer)
    windows = np.lib.stride_tricks.sliding_window_view(x, layer.kernel, axis=(2, 3))
    per_group = windows.reshape(len(x), layer.groups, -1, *windows.shape[2:])
    rows = weight.reshape(layer.groups, -1, *weight.shape[1:]).astype(np.float64)
    y = np.einsum("ngchwij,gfcij->ngfhw", per_group, rows)
    return y.reshape(len(x), layer.filters, -1) + bias[:, None]


@pytest.mark.parametrize("groups", [1, 2])
def test_expected_error_is_the_error_of_the_outputs(groups):
    layer = layer_of(groups=groups)
    stats = stats_of(layer)
    y = outputs(layer, layer.weight, layer.bias)

    options = PRUNE.options(layer, stats, HERE)

    assert [option.parameters["zeros"] for option in options] == list(range(50, 100, 5))
    for option in options:
        weight, bias = PRUNE.approximate(layer, stats, option.parameters)
        found = outputs(layer, weight, bias)
        assert np.mean(weight == 0) == pytest.approx(option.parameters["zeros"] / 100, abs=0.01)
        error = np.linalg.norm(found - y) / np.linalg.norm(y)
        # All positions are in the moments; damping makes expectations a little larger.
        assert error == pytest.approx(option.error, rel=0.05)
        np.testing.assert_allclose(found.mean(axis=(0, 2)), y.mean(axis=(0, 2)), atol=1e-4)


def test_work_is_that_of_the_weight_with_its_zeros():
    layer = layer_of()
    stats = stats_of(layer)

    for option in PRUNE.options(layer, stats, HERE):
        weight, _ = PRUNE.approximate(layer, stats, option.parameters)
        assert option.work == spmm_work(replace(layer, weight=weight), HERE)


def test_a_layer_with_zeros_keeps_them_and_is_offered_more():
    layer = layer_of()
    layer.weight[:, :4] = 0
    stats = stats_of(layer)

    options = PRUNE.options(layer, stats, HERE)
    weight, _ = PRUNE.approximate(layer, stats, options[0].parameters)

    assert options[0].parameters == {"zeros": 70}
    assert not weight[:, :4].any()


def test_what_was_found_is_found_once():
    layer = layer_of()
    stats = stats_of(layer)

    first = PRUNE.approximate(layer, stats, {"zeros": 50})
    second = PRUNE.approximate(layer, stats, {"zeros": 50})

    assert first is second


@pytest.mark.parametrize(
    ("layer", "stats", "reason"),
    [
        (layer_of(filters=18, groups=6), stats_of(layer_of(filters=18, groups=6)), "depthwise"),
        (layer_of(), Stats(weight_stats(layer_of())), "needs --max-error"),
        (layer_of(channels=200), stats_of(layer_of(channels=200), images=2), "too few samples"),
        (layer_of(kernel=(2, 2, 2)), Stats(weight_stats(layer_of())), "3-D"),
    ],
)
def test_refusals_say_why(layer, stats, reason):
    assert reason in PRUNE.refuse(layer, stats, HERE)


def test_moments_are_asked_for_where_they_fit_memory():
    assert PRUNE.statistics(layer_of()) == {"input moments"}
    assert PRUNE.statistics(layer_of(channels=1000, filters=1)) == frozenset()
    assert PRUNE.statistics(layer_of(filters=18, groups=6)) == frozenset()
