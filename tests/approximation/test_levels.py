"""Weights of few levels against what least squares says of them."""

import numpy as np
import pytest

from sparsepass.approximation import Levels, find_levels, lost, rounded, rounding
from sparsepass.approximation.moments import damped

ROWS, TAPS = 6, 40


def weights(zeros=0.0):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((ROWS, TAPS)) * np.geomspace(0.01, 10, ROWS)[:, None]
    return (weight * (rng.random(weight.shape) >= zeros)).astype(np.float32)


def moments():
    """Inputs that depend on each other much."""
    mixed = np.random.default_rng(1).standard_normal((TAPS, 3 * TAPS))
    mixed[:, :5] *= 10
    return mixed @ mixed.T / (3 * TAPS)


def ones(taps=TAPS):
    return np.ones((1, taps))


def values_of(levels, weight):
    return levels.values(levels.codes(weight))


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_have_few_levels_keep_them(bits):
    rng = np.random.default_rng(2)
    units = rng.integers(-7, 8, (ROWS, 400)) * (1 if bits == 4 else 18) + (bits == 8)
    units[:, 0] = 7 if bits == 4 else 127
    weight = units * np.geomspace(0.01, 10, ROWS)[:, None]

    found = values_of(find_levels(weight, bits, ones(400)), weight)

    np.testing.assert_allclose(found, weight, rtol=1e-9, atol=1e-9)


def test_eight_bits_are_as_near_as_their_scale():
    weight = weights()
    levels = find_levels(weight, 8, ones())

    change = np.abs(values_of(levels, weight) - weight)

    assert len(levels.levels) == 255
    assert (change.max(axis=1) <= np.abs(weight).max(axis=1) / 127).all()


def test_clip_of_an_outlier_is_the_better_of_the_two():
    weight = np.append(np.linspace(-1, 1, 4000), 1.6)[None]
    levels = find_levels(weight, 8, np.append(np.full(4000, 1.0), 1e-6)[None])
    whole = Levels(np.array([1.6 / 127]), levels.levels)

    assert levels.scales[0] < 1.1 / 127
    inside = weight[:, :4000]
    assert np.sum((values_of(levels, inside) - inside) ** 2) < 0.5 * np.sum(
        (values_of(whole, inside) - inside) ** 2
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_zeros_do_not_count_and_stay_zero(bits):
    sparse = weights(zeros=0.8)
    levels = find_levels(sparse, bits, ones())

    assert (values_of(levels, sparse)[sparse == 0] == 0).all()
    again = find_levels(np.hstack([sparse, np.zeros_like(sparse)]), bits, ones(2 * TAPS))
    np.testing.assert_allclose(again.scales, levels.scales)
    np.testing.assert_allclose(again.levels, levels.levels, atol=1e-12)


def test_codebook_is_nearer_than_even_levels():
    weight = weights()
    book = find_levels(weight, 4, ones())
    even = Levels(np.abs(weight).max(axis=1) / 7, np.arange(-8.0, 8.0))

    change = [np.square(values_of(found, weight) - weight).sum() for found in (book, even)]

    assert len(book.levels) == 16
    assert change[0] < change[1]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [0.0, 0.7])
def test_rounding_by_moments_changes_outputs_less_than_the_nearest_levels(bits, zeros):
    weight, inputs = weights(zeros), moments()
    levels = find_levels(weight, bits, np.diagonal(inputs)[None])

    found, codes = rounded(levels, weight, inputs)

    kept = np.where(weight != 0, found.values(codes), 0.0)
    nearest = np.where(weight != 0, values_of(levels, weight), 0.0)
    assert lost(kept - weight, inputs).sum() < lost(nearest - weight, inputs).sum()


def test_independent_inputs_leave_nothing_to_correct():
    weight = weights()
    levels = find_levels(weight, 8, ones())

    found, codes = rounded(levels, weight, np.eye(TAPS))

    np.testing.assert_array_equal(codes, found.codes(weight))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [0.0, 0.7])
def test_rounding_columns_again_changes_outputs_less(bits, zeros, monkeypatch):
    weight, inputs = weights(zeros), moments()
    levels = find_levels(weight, bits, np.diagonal(inputs)[None])
    counted = damped(inputs)
    errors = []
    for rounds in (0, 1, 4):
        monkeypatch.setattr(rounding, "ROUNDS", rounds)
        found, codes = rounded(levels, weight, inputs)
        kept = np.where(weight != 0, found.values(codes), 0.0)
        errors.append(lost(kept - weight, counted).sum())

    assert errors[0] >= errors[1] >= errors[2]
    assert bits == 8 or errors[0] > errors[2]


def test_one_of_two_equal_inputs_makes_good_what_the_other_lost():
    # 0.4 + 0.4 of one input: the nearest levels are 0 + 0, the best 0 + 1.
    levels = Levels(np.ones(1), np.array([-1.0, 0.0, 1.0]))

    _, codes = rounded(levels, np.array([[0.4, 0.4]]), np.ones((2, 2)))

    assert levels.levels[codes].sum() == 1


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_of_zeros_are_taken(bits):
    weight = np.zeros((2, 5))
    levels = find_levels(weight, bits, ones(5))

    found, codes = rounded(levels, weight, np.zeros((5, 5)))

    assert np.isfinite(found.values(codes)).all()
