"""Blocks of zeros: the projection, the best of all choices, and the search that keeps to them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsepass.approximation import find_blocks, lost, refit
from sparsepass.approximation.blocks import projected
from sparsepass.approximation.moments import damped


def blocks_of(mask, channels):
    """The blocks of a mask (rows, taps), each four channels of a filter and tap or what is left."""
    planes = mask.reshape(len(mask), channels, -1)
    return [
        planes[row, first : first + 4, tap]
        for row in range(len(planes))
        for first in range(0, channels, 4)
        for tap in range(planes.shape[2])
    ]


def in_blocks(mask, channels):
    return all(block.all() or not block.any() for block in blocks_of(mask, channels))


def problem(rows=4, channels=10, kernel=2):
    rng = np.random.default_rng(0)
    taps = channels * kernel
    x = rng.standard_normal((taps, taps)) @ rng.standard_normal((taps, 200))
    return rng.standard_normal((rows, taps)), x @ x.T / 200


def test_worked_example():
    weight = np.array([[1, 1, 1, 1, 3, 0.5, 0.5], [0, 0, 0, 5, 1, 2, 1]])

    found = projected(weight, 7, 7)

    # Sums of squares are 4, 9.5; 25, 6: the first three weights fit beside four, no block of four.
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 3, 0.5, 0.5], [0, 0, 0, 5, 0, 0, 0]])


def test_blocks_lie_along_the_channels_of_a_tap():
    weight = np.ones((1, 8 * 2))
    weight.reshape(8, 2)[4:, 1] = 2

    kept = projected(weight, 8, 4).reshape(8, 2) != 0

    assert kept.sum() == 4
    assert kept[4:, 1].all()


@given(
    rows=st.integers(1, 4),
    channels=st.integers(4, 13),
    kernel=st.sampled_from([1, 2, 9]),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_whole_blocks_are_kept_as_many_as_fit(rows, channels, kernel, share, seed):
    weight = np.random.default_rng(seed).standard_normal((rows, channels * kernel))
    count = round(share * weight.size)

    found = projected(weight, channels, count)

    mask = found != 0
    assert in_blocks(mask, channels)
    assert max(count - 3, 0) <= mask.sum() <= count
    np.testing.assert_array_equal(found, np.where(mask, weight, 0).astype(np.float32))


@pytest.mark.parametrize("kept", [4, 8, 12])
def test_of_independent_inputs_the_best_of_all_choices_is_found(kept):
    weight = np.random.default_rng(1).standard_normal((1, 16))

    found = find_blocks(weight, np.eye(16), 8, [kept]).mask(0)

    sums = [np.sum(weight[0][block] ** 2) for block in indices(8, 2)]
    best = max(sum(chosen) for chosen in combinations(sums, kept // 4))
    assert np.sum(weight[found] ** 2) == pytest.approx(best)


def indices(channels, kernel):
    """Where the taps of each block of one row are."""
    return blocks_of(np.arange(channels * kernel)[None], channels)


@pytest.mark.parametrize("kept", [4, 8, 12])
def test_the_search_is_nearly_the_best_of_all(kept):
    _, moments = problem(channels=8)
    weight = np.random.default_rng(1).standard_normal((1, 16))

    def cost(blocks):
        mask = np.zeros((1, 16), bool)
        mask[0, np.concatenate(blocks)] = True
        return float(lost(refit(weight, mask, moments, weight @ moments) - weight, moments)[0])

    mask = find_blocks(weight, moments, 8, [kept]).mask(0)

    costs = sorted(map(cost, combinations(indices(8, 2), kept // 4)))
    assert mask.sum() == kept
    # Of four or six choices one of the best two.
    assert cost([np.flatnonzero(mask[0])]) <= costs[1] * (1 + 1e-6)


def test_costs_are_those_of_the_fit_on_the_support():
    weight, moments = problem()
    steady = damped(moments)
    kept = [60, 40, 16]

    found = find_blocks(weight, moments, 10, kept)

    for number, count in enumerate(kept):
        mask = found.mask(number)
        fitted = refit(weight, mask, steady, weight @ steady)
        assert in_blocks(mask, 10)
        assert count - 3 <= mask.sum() <= count
        assert found.costs[number] == pytest.approx(lost(fitted - weight, steady).sum(), rel=0.05)
    assert found.costs[0] < found.costs[1] < found.costs[2]


def test_the_search_beats_magnitude():
    weight, moments = problem()

    def cost(mask):
        fitted = refit(weight, mask, moments, weight @ moments)
        return lost(fitted - weight, moments).sum()

    mask = find_blocks(weight, moments, 10, [40]).mask(0)

    assert cost(mask) < cost(projected(weight, 10, 40) != 0)


def test_blocks_of_what_hardly_varies_go_first_however_large():
    weight = np.array([[4.0, 3.0, 4.0, 3.0, 1.0, 2.0, 1.0, 2.0]])

    mask = find_blocks(weight, np.diag([1e-3] * 4 + [1.0] * 4), 8, [4]).mask(0)

    np.testing.assert_array_equal(mask, [[False] * 4 + [True] * 4])
