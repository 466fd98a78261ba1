"""Series of N:M terms: the pattern, the greedy choice, and the search that keeps to it."""

from itertools import combinations

import numpy as np
import pytest

from sparsepass.approximation import find_series, lost, refit, series_terms
from sparsepass.approximation.moments import damped
from sparsepass.approximation.series import projected

SERIES = [((2, 4),), ((1, 4), (1, 8)), ((2, 8), (4, 16)), ((2, 8), (1, 8)), ((4, 8),)]


def has_pattern(weight, channels, count, size):
    """Whether no aligned block of ``size`` channels of a filter and tap has more non-zeros."""
    mask = (weight != 0).reshape(len(weight), channels, -1)
    counts = np.add.reduceat(mask, range(0, channels, size), axis=1, dtype=int)
    return bool(np.all(counts <= count))


def problem(rows=4, channels=16, kernel=2):
    rng = np.random.default_rng(0)
    taps = channels * kernel
    x = rng.standard_normal((taps, 200)) + rng.standard_normal((1, 200))
    return rng.standard_normal((rows, taps)), x @ x.T / 200


def test_worked_example():
    weight = np.array([[0, 5, 3, -4, 0, 0, 1, 0], [7, 0, 0, 0, 2, -6, 3, 1]])

    first, second = series_terms(weight, 8, ((2, 4), (1, 8)))

    np.testing.assert_array_equal(first, [[0, 5, 0, -4, 0, 0, 1, 0], [7, 0, 0, 0, 0, -6, 3, 0]])
    np.testing.assert_array_equal(second, [[0, 0, 3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0, 0, 0]])


@pytest.mark.parametrize("series", SERIES, ids=str)
@pytest.mark.parametrize("channels", [3, 12, 16])
def test_terms_have_their_pattern_and_do_not_overlap(series, channels):
    weight = np.random.default_rng(0).standard_normal((5, channels * 9)).astype(np.float32)

    terms = series_terms(weight, channels, series)

    assert all(has_pattern(term, channels, *pair) for term, pair in zip(terms, series, strict=True))
    assert np.all(sum((term != 0).astype(int) for term in terms) <= 1)
    assert all(np.all((term == 0) | (term == weight)) for term in terms)


def test_terms_of_a_weight_that_has_the_pattern_add_up_to_it():
    weight = projected(np.random.default_rng(0).standard_normal((5, 144)), 16, ((1, 4), (2, 8)))

    # Fitting changes sizes and so which term takes what, but not the sum.
    fitted = weight * np.random.default_rng(1).random(weight.shape)

    np.testing.assert_array_equal(sum(series_terms(fitted, 16, ((1, 4), (2, 8)))), fitted)


def test_greedy_terms_keep_the_most_of_all_choices():
    weight = np.random.default_rng(0).standard_normal((1, 8))
    halves = [set(range(4)), set(range(4, 8))]

    def fits(kept):
        return sum(max(0, len(half & set(kept)) - 1) for half in halves) <= 2

    most = max(
        np.sum(weight[0, list(kept)] ** 2) for kept in combinations(range(8), 4) if fits(kept)
    )

    assert np.sum(projected(weight, 8, ((1, 4), (2, 8))) ** 2) == pytest.approx(most)


def test_longer_series_cost_less():
    weight, moments = problem()

    costs = find_series(weight, moments, 16, [((1, 8),), ((1, 8), (4, 16))]).costs

    assert costs[1] < costs[0]


@pytest.mark.parametrize("series", SERIES, ids=str)
def test_search_keeps_to_the_pattern_and_beats_magnitude(series):
    weight, moments = problem()

    def cost(mask):
        fitted = refit(weight, mask, moments, weight @ moments)
        return lost(fitted - weight, moments).sum()

    mask = find_series(weight, moments, 16, [series]).mask(0)

    np.testing.assert_array_equal(
        sum(series_terms(np.where(mask, weight, 0), 16, series)) != 0, mask
    )
    assert cost(mask) < cost(projected(weight, 16, series) != 0)


def test_what_is_kept_is_fitted():
    weight, moments = problem()
    mask = find_series(weight, moments, 16, [((2, 4),)]).mask(0)
    steady = damped(moments)

    fitted = refit(weight, mask, steady, weight @ steady)

    gradient = np.where(mask, (fitted - weight) @ steady, 0)
    assert np.abs(gradient).max() < 1e-3 * np.abs(weight @ steady).max()


def test_search_finds_the_obvious_pair():
    # Only channels 2 and 3 ever vary: they stay, though their weights are the smallest.
    weight = np.array([[4.0, 3.0, 1.0, 2.0]])

    mask = find_series(weight, np.diag([1e-6, 1e-6, 1.0, 1.0]), 4, [((2, 4),)]).mask(0)

    np.testing.assert_array_equal(mask, [[False, False, True, True]])
