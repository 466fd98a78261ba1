"""Masks of pruning: as many zeros as asked for, the smallest weights, the same each time."""

import numpy as np
import pytest

from sparsepass.pruning import SAMPLED, rank


def weight_of(*shape: int, zeros: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape, np.float32)
    return weight * (rng.random(shape) >= zeros)


@pytest.mark.parametrize("percent", [0, 1, 50, 90, 99])
@pytest.mark.parametrize("shape", [(32, 16, 3, 3), (10, 7), (4, 1, 5)])
def test_a_mask_has_the_zeros_that_were_asked_for(percent, shape):
    weight = weight_of(*shape)

    mask = rank(weight).mask(percent)

    assert mask.shape == shape
    assert np.count_nonzero(~mask) == weight.size * percent // 100


def test_the_smallest_weights_go_first():
    weight = weight_of(64, 64)

    mask = rank(weight).mask(70)

    assert np.abs(weight[~mask]).max() <= np.abs(weight[mask]).min() + 1e-4 * np.abs(weight).max()


@pytest.mark.parametrize("weight", [np.ones((16, 25), np.float32), np.zeros((16, 25), np.float32)])
def test_weights_of_one_magnitude_go_in_a_random_order(weight):
    mask = rank(weight).mask(60)

    assert np.count_nonzero(mask) == pytest.approx(160, abs=2)
    assert np.ptp(np.count_nonzero(mask, axis=1)) > 0


def test_a_pruned_weight_has_masks_of_fewer_zeros_too():
    ranking = rank(weight_of(64, 64, zeros=0.9))

    assert [np.mean(ranking.mask(p)) for p in (0, 50)] == pytest.approx([1.0, 0.5])


def test_large_weights_meet_the_share_to_a_tenth_of_a_percent_or_so():
    weight = weight_of(1024, 2 * SAMPLED // 1024)

    mask = rank(weight).mask(90)

    assert rank(weight).mask(0).all()
    # Four deviations of a share among the sampled weights.
    assert np.mean(mask) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / SAMPLED))


@pytest.mark.parametrize("n", [1, 2])
def test_n_of_four_neighbours_are_kept(n):
    weight = weight_of(8, 6, 3, 3)

    mask = rank(weight).n_of_m(n)

    blocks = np.pad(mask.reshape(8, 54), ((0, 0), (0, 2))).reshape(8, -1, 4)
    assert mask.shape == weight.shape
    assert np.all(blocks[:, :-1].sum(axis=2) == n)


def test_blocks_of_four_taps_stand_or_go_together():
    weight = weight_of(32, 16, 2, 2)

    mask = rank(weight).tap_blocks(75)

    kept = mask.reshape(-1, 4).sum(axis=1)
    assert set(kept) == {0, 4}
    assert np.mean(kept == 4) == pytest.approx(0.25, abs=0.01)


def test_values_that_are_no_numbers_harm_nothing():
    weight = weight_of(8, 8)
    weight[0, 0], weight[1, 1] = np.nan, np.inf

    assert np.count_nonzero(rank(weight).mask(50)) == 32
