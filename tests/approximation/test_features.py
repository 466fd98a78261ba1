"""Least squares on linear features against the closed forms that it stands for."""

import numpy as np
import pytest

from sparsepass.approximation import leading_features, nested_fit, repeated, slice_features

TAPS, OUTPUTS, SLICES = 12, 5, 3


def problem(seed=0, taps=TAPS):
    """A weight, and moments of inputs that depend on each other."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((taps, taps)) * np.geomspace(1, 0.1, taps)
    return rng.standard_normal((OUTPUTS, taps)), mixed.T @ mixed / taps


def lost(weight, other, moments):
    change = weight - other
    return np.trace(change @ moments @ change.T)


def test_energies_are_those_that_the_map_explains():
    weight, moments = problem()
    features = np.random.default_rng(1).standard_normal((TAPS, TAPS))

    fit = nested_fit(weight, moments, features)

    whole = lost(weight, 0, moments)
    for count in range(TAPS + 1):
        found = fit.map(count) @ features[:count]
        np.testing.assert_allclose(
            whole - fit.energies[count], lost(weight, found, moments), atol=1e-5 * whole
        )
        np.testing.assert_allclose(np.trace(fit.covariance(count)), fit.energies[count])


def test_map_is_the_least_squares_map():
    weight, moments = problem()
    features = np.random.default_rng(1).standard_normal((4, TAPS))

    found = nested_fit(weight, moments, features).map(4)

    best = weight @ moments @ features.T @ np.linalg.inv(features @ moments @ features.T)
    np.testing.assert_allclose(found, best, rtol=1e-4, atol=1e-4 * np.abs(best).max())


def test_all_features_give_the_weight_back():
    weight, moments = problem()
    features = slice_features(weight, moments, SLICES)

    fit = nested_fit(weight, moments, repeated(features, SLICES))

    found = fit.map(TAPS) @ repeated(features, SLICES)
    assert lost(weight, found, moments) <= 1e-5 * lost(weight, 0, moments)


def test_features_that_say_the_same_are_harmless():
    weight, moments = problem()
    features = np.tile(np.eye(TAPS), (2, 1))

    fit = nested_fit(weight, moments, features)

    assert np.isfinite(fit.map(2 * TAPS)).all()
    np.testing.assert_allclose(fit.energies[-1], lost(weight, 0, moments), rtol=1e-5)


@pytest.mark.parametrize("rank", range(1, OUTPUTS + 1))
def test_leading_features_of_one_place_are_the_optimum(rank):
    weight, moments = problem()
    features = leading_features(weight.T, moments)[:rank]

    fit = nested_fit(weight, moments, features)

    # The best map of rank r leaves out the smallest singular values of the outputs.
    values = np.linalg.eigvalsh(weight @ moments @ weight.T)
    best = values[: OUTPUTS - rank].sum()
    np.testing.assert_allclose(values.sum() - fit.energies[rank], best, atol=2e-6 * values.sum())


def test_leading_features_of_independent_slices_are_the_optimum():
    # Slices that do not depend on each other: the moments are the same block for each.
    weight, _ = problem()
    _, block = problem(1, TAPS // SLICES)
    moments = np.einsum("ij,st->isjt", block, np.eye(SLICES)).reshape(TAPS, TAPS)
    unfolded = weight.reshape(OUTPUTS, -1, SLICES).swapaxes(0, 1).reshape(TAPS // SLICES, -1)
    root = np.linalg.cholesky(block)
    values = np.linalg.svd(root.T @ unfolded, compute_uv=False) ** 2

    for rank in range(1, TAPS // SLICES + 1):
        features = repeated(slice_features(weight, moments, SLICES)[:rank], SLICES)
        explained = nested_fit(weight, moments, features).energies[-1]
        np.testing.assert_allclose(explained, values[:rank].sum(), rtol=1e-5)


def test_repeated_features_look_at_one_slice_each():
    features = np.array([[1.0, 2.0]])

    np.testing.assert_array_equal(
        repeated(features, 3), [[1, 0, 0, 2, 0, 0], [0, 1, 0, 0, 2, 0], [0, 0, 1, 0, 0, 2]]
    )


def test_moments_that_rounding_left_without_a_square_root_are_fitted():
    # Taps that are nearly the same: all but one feature vary less than float32 can tell.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4000)) + 1e-5 * rng.standard_normal((40, 4000))
    moments = (x @ x.T / 4000).astype(np.float32)
    weight = rng.standard_normal((8, 40))
    rough = moments.astype(np.float64)
    assert np.linalg.eigvalsh(rough)[0] < 0

    fit = nested_fit(weight, moments, leading_features(weight.T, moments))

    energy = np.sum((weight @ rough) * weight)
    assert np.isfinite(fit.map(40)).all()
    assert fit.energies[-1] == pytest.approx(energy, rel=1e-3)
