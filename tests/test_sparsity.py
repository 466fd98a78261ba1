"""Statistics of weights, against counts by hand and naive loops."""

import numpy as np
import pytest

from sparsepass.layer import Layer
from sparsepass.sparsity import LARGEST_SPECTRUM, Moments, weight_stats, with_spectrum


def conv_layer(weight, groups=1):
    rank = weight.ndim - 2
    ones = (1,) * rank
    return Layer(
        "conv", "Conv", 1, groups, weight.shape[2:], ones, ones, (0,) * 2 * rank, (16,) * rank,
        weight.astype(np.float32), np.zeros(len(weight), np.float32),
    )  # fmt: skip


def random_weight(shape, density, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) * (rng.random(shape) < density)


def test_counts_of_a_weight_written_by_hand():
    weight = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [3, 4, 0, 5]]).reshape(3, 4, 1, 1)

    stats = weight_stats(conv_layer(weight))

    assert stats.density == 5 / 12
    assert stats.empty_filters == 1
    assert stats.empty_channels == 1
    assert stats.row_balance == 9 / 5
    assert stats.nm == {"1:4": 1 / 3, "2:4": 2 / 3, "1:8": 1 / 3, "2:8": 2 / 3, "4:8": 1.0}
    assert stats.blocks == {"4x1": 5 / 12, "1x4": 5 / 8}
    assert stats.patterns == 1


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("channels", [5, 8])
def test_series_fit_equals_a_loop_over_blocks(size, channels):
    weight = random_weight((6, channels, 3, 3), 0.3)
    rows = weight.reshape(6, -1)
    counts = [
        np.count_nonzero(row[start : start + size])
        for row in rows
        for start in range(0, rows.shape[1], size)
    ]

    stats = weight_stats(conv_layer(weight))

    for name, share in stats.nm.items():
        kept, block = map(int, name.split(":"))
        if block == size:
            assert share == np.mean(np.array(counts) <= kept)


def test_filter_blocks_do_not_cross_groups():
    weight = np.ones((6, 2, 1, 1))

    stats = weight_stats(conv_layer(weight, groups=2))

    assert stats.blocks["4x1"] == 3 / 4


def test_empty_channels_are_counted_in_every_group():
    weight = np.ones((4, 3, 3, 3))
    weight[:2, 1] = 0

    stats = weight_stats(conv_layer(weight, groups=2))

    assert stats.empty_channels == 1


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (3,), (2, 2, 2)])
def test_patterns_are_distinct_kernel_masks(kernel):
    weight = random_weight((8, 8, *kernel), 0.5)
    masks = {(k != 0).tobytes() for k in weight.reshape(64, *kernel)}

    stats = weight_stats(conv_layer(weight))

    assert stats.patterns == len(masks)


def test_depthwise_weight_is_measured():
    stats = weight_stats(conv_layer(random_weight((8, 1, 3, 3), 0.5), groups=8))

    assert 0 < stats.density < 1
    assert stats.blocks["4x1"] == 1 / 4


def test_weight_of_zeros_has_no_structure():
    stats = weight_stats(conv_layer(np.zeros((4, 2, 3, 3))))

    assert (stats.density, stats.row_balance, stats.empty_filters) == (0, 0, 4)


def test_the_energy_of_a_weight_of_zeros_is_held_by_no_rank():
    layer = conv_layer(np.zeros((4, 2, 3, 3)))

    assert with_spectrum(weight_stats(layer), layer).rank_energy == {"90": 0, "99": 0}


@pytest.mark.parametrize("scale", [1e37, 1e-37])
def test_rank_energy_does_not_depend_on_the_scale(scale):
    weight = np.random.default_rng(0).standard_normal((8, 6, 3, 3)).astype(np.float32)
    layer, scaled = conv_layer(weight), conv_layer(weight * np.float32(scale))

    found = with_spectrum(weight_stats(scaled), scaled).rank_energy

    assert found == with_spectrum(weight_stats(layer), layer).rank_energy


def test_rank_energy_equals_singular_values():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 6)) @ rng.standard_normal((6, 36))
    energy = np.cumsum(np.linalg.svd(weight, compute_uv=False) ** 2)
    expected = {
        p: int(np.searchsorted(energy / energy[-1], int(p) / 100)) + 1 for p in ("90", "99")
    }

    layer = conv_layer(weight.reshape(16, 4, 3, 3))

    assert with_spectrum(weight_stats(layer), layer).rank_energy == expected


def test_large_spectrum_is_left_out():
    side = LARGEST_SPECTRUM + 1
    layer = conv_layer(np.ones((side, side, 1, 1)))

    assert with_spectrum(weight_stats(layer), layer).rank_energy == {}


def test_matrix_product_has_no_kernel():
    layer = Layer(
        "fc", "Gemm", 1, 1, (), (), (), (), (), np.eye(4, dtype=np.float32), np.zeros(4, np.float32)
    )

    stats = with_spectrum(weight_stats(layer), layer)

    assert (stats.density, stats.patterns, stats.rank_energy) == (0.25, 1, {"90": 4, "99": 4})


def test_spectrum_is_computed_once_and_rebuilds_the_covariance():
    rows = np.random.default_rng(0).standard_normal((5, 40))
    moments = Moments(np.zeros(5), rows @ rows.T / 40, 40)

    spectrum = moments.spectrum

    assert moments.spectrum is spectrum
    rebuilt = spectrum.vectors * spectrum.values @ spectrum.vectors.T
    np.testing.assert_allclose(rebuilt, moments.covariance, atol=25 * 2.0**-52 * spectrum.values[0])
