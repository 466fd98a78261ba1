"""Least squares on a support against its normal equations."""

import numpy as np

from sparsepass.approximation import lost, refit

ROWS, TAPS = 4, 30


def problem():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((TAPS, 200)) * np.geomspace(1, 0.1, TAPS)[:, None]
    moments = x @ x.T / x.shape[1]
    weight = rng.standard_normal((ROWS, TAPS))
    return weight, rng.random((ROWS, TAPS)) < 0.4, moments


def test_gradient_is_zero_on_the_support():
    weight, mask, moments = problem()

    found = refit(weight, mask, moments, weight @ moments)

    gradient = np.where(mask, (found - weight) @ moments, 0)
    # Of every row, against the gradient where all is zero.
    before = np.where(mask, weight @ moments, 0)
    assert np.all(np.linalg.norm(gradient, axis=1) <= 1e-3 * np.linalg.norm(before, axis=1))
    assert not found[~mask].any()


def test_fit_is_the_solution_of_the_normal_equations():
    weight, mask, moments = problem()

    found = refit(weight, mask, moments, weight @ moments)

    for row, kept, got in zip(weight, mask, found, strict=True):
        best = np.linalg.solve(moments[np.ix_(kept, kept)], (moments @ row)[kept])
        expected = np.zeros(TAPS)
        expected[kept] = best
        least = lost((expected - row)[None], moments)
        assert lost((got - row)[None], moments) <= least * (1 + 1e-6)


def test_whole_support_gives_the_target():
    weight, _, moments = problem()
    target = np.random.default_rng(2).standard_normal(weight.shape)

    found = refit(weight, np.ones_like(weight, bool), moments, target @ moments)

    assert np.all(lost(found - target, moments) <= 1e-6 * lost(target, moments))


def test_inputs_that_are_always_zero_leave_zeros():
    weight, mask, moments = problem()
    moments[:3] = moments[:, :3] = 0

    found = refit(weight, mask, moments, weight @ moments)

    assert np.isfinite(found).all()


def test_empty_support_is_a_weight_of_zeros():
    weight, _, moments = problem()

    assert not refit(weight, np.zeros_like(weight, bool), moments, weight @ moments).any()
