"""Low-rank factors against the mathematics that they stand for."""

import numpy as np
import pytest

from sparsepass.algorithms.low_rank import merged, output_factors, possible_ranks, rank_options
from sparsepass.layer import Layer
from sparsepass.sparsity import Moments

FILTERS, CHANNELS, POSITIONS = 24, 6, 500


def random_layer(kernel=(3, 3), filters=FILTERS, channels=CHANNELS):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((filters, channels, *kernel)).astype(np.float32)
    rank = len(kernel)
    return Layer(
        "conv", "Conv", 1, 1, kernel, (1,) * rank, (1,) * rank, (0,) * 2 * rank, (8,) * rank,
        weight, rng.standard_normal(filters).astype(np.float32),
    )  # fmt: skip


def outputs_of(layer, positions=POSITIONS):
    """Columns x with unequal energies and a mean, and y = W x + b for them."""
    rng = np.random.default_rng(1)
    spread = np.geomspace(1, 0.01, layer.taps)[:, None]
    x = spread * rng.standard_normal((layer.taps, positions)) + 0.3
    return x, layer.weight.reshape(layer.filters, -1) @ x + layer.bias[:, None]


def moments_of(y):
    return Moments(y.mean(axis=1), np.cov(y, bias=True), y.shape[1])


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (3,), (2, 2, 2)])
def test_expected_error_is_the_error_on_the_same_outputs(kernel):
    layer = random_layer(kernel, channels=24 if kernel == (1, 1) else CHANNELS)
    x, y = outputs_of(layer)
    moments = moments_of(y)

    options = rank_options(layer, moments)

    assert options
    for rank, error in options:
        first, second, bias = output_factors(layer, moments, rank)
        found = second.reshape(FILTERS, rank) @ (first.reshape(rank, -1) @ x) + bias[:, None]
        # The factors are rounded to float32: each output sums taps + rank terms.
        rounding = (layer.taps + rank) * 2.0**-24
        actual = np.linalg.norm(found - y) / np.linalg.norm(y)
        assert abs(actual - error) <= rounding
        assert first.shape == (rank, *layer.weight.shape[1:])
        assert second.shape == (FILTERS, rank, *[1] * len(kernel))


def test_no_other_map_of_the_rank_is_better():
    layer = random_layer()
    _, y = outputs_of(layer)
    centred = y - y.mean(axis=1, keepdims=True)
    singular = np.linalg.svd(centred, compute_uv=False)

    for rank, error in rank_options(layer, moments_of(y)):
        best = np.sqrt((singular[rank:] ** 2).sum() / (y**2).sum())
        np.testing.assert_allclose(error, best, rtol=1e-9, atol=POSITIONS * 2.0**-52)


def test_merged_weight_computes_what_the_factors_compute():
    layer = random_layer()
    _, y = outputs_of(layer)
    first, second, bias = output_factors(layer, moments_of(y), 8)

    weight, merged_bias = merged(layer, moments_of(y), 8)

    product = second.reshape(FILTERS, 8).astype(np.float64) @ first.reshape(8, -1)
    atol = 10 * 2.0**-24 * np.abs(second).max() * np.abs(first).max() * 8
    np.testing.assert_allclose(weight.reshape(FILTERS, -1), product, rtol=0, atol=atol)
    np.testing.assert_array_equal(merged_bias, bias)


def test_bias_keeps_the_mean_of_the_outputs():
    layer = random_layer()
    x, y = outputs_of(layer)
    first, second, bias = output_factors(layer, moments_of(y), 8)

    mean = second.reshape(FILTERS, 8) @ (first.reshape(8, -1) @ x.mean(axis=1)) + bias

    np.testing.assert_allclose(mean, y.mean(axis=1), atol=layer.taps * 2.0**-23 * np.abs(y).max())


@pytest.mark.parametrize(("filters", "step"), [(64, 8), (256, 16)])
def test_ranks_are_whole_blocks_below_the_dense_work(filters, step):
    layer = random_layer(filters=filters, channels=64)

    ranks = possible_ranks(layer)

    assert all(rank % step == 0 for rank in ranks)
    dense = filters * layer.taps
    assert ranks[-1] * (filters + layer.taps) < dense
    assert (ranks[-1] + step) * (filters + layer.taps) >= dense


def test_thin_layer_has_no_rank_to_offer():
    layer = random_layer(filters=8)
    _, y = outputs_of(layer)

    assert rank_options(layer, moments_of(y)) == ()


def test_ranks_need_more_positions():
    layer = random_layer(filters=64, channels=64)
    _, y = outputs_of(layer, positions=20)

    assert [rank for rank, _ in rank_options(layer, moments_of(y))] == [8, 16]


def test_output_that_is_always_zero_is_left_alone():
    layer = random_layer()

    assert rank_options(layer, Moments(np.zeros(24), np.zeros((24, 24)), 10)) == ()
