"""Moments that rounding spoiled: what is made of them has roots and inverses."""

import numpy as np
import pytest

from sparsepass.approximation import find_levels, find_supports, rounded
from sparsepass.approximation.moments import damped, positive, square_root

TAPS = 24


def rotated(values):
    """Moments with these eigenvalues."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((TAPS, TAPS)))
    return (axes * values) @ axes.T


# As they come from float32: of one input that is nearly everything, of hardly any, and of none.
SPOILED = {
    "indefinite": rotated(np.append(np.linspace(-0.02, 0.01, TAPS - 1), 3.0)),
    "denormal": rotated(np.linspace(-1e-42, 2e-42, TAPS)).astype(np.float32),
    "zero": np.zeros((TAPS, TAPS), np.float32),
}


@pytest.mark.parametrize("moments", SPOILED.values(), ids=SPOILED)
def test_damped_moments_have_a_cholesky_factor(moments):
    np.linalg.cholesky(damped(moments))


def test_sound_moments_get_a_thousandth_of_their_mean():
    sound = rotated(np.linspace(0.1, 2, TAPS))

    np.testing.assert_allclose(damped(sound) - sound, np.eye(TAPS) * 1.05e-3, atol=1e-12)


def test_positive_moments_keep_what_is_positive():
    values = np.append(np.linspace(-0.02, 0.01, TAPS - 1), 3.0)

    kept = rotated(np.maximum(values, 0))

    np.testing.assert_allclose(positive(rotated(values)), kept, atol=1e-12)
    np.testing.assert_allclose(square_root(kept) @ square_root(kept), kept, atol=1e-12)


@pytest.mark.parametrize("moments", SPOILED.values(), ids=SPOILED)
def test_weights_are_rounded_and_pruned_by_them(moments):
    weight = np.random.default_rng(1).standard_normal((5, TAPS)).astype(np.float32)
    levels = find_levels(weight, 4, np.ones((1, TAPS)))

    fitted, codes = rounded(levels, weight, moments)
    found = find_supports(weight, moments, (TAPS,))

    assert np.abs(fitted.values(codes) - weight).max() < np.abs(weight).max()
    assert np.isfinite(found.costs).all()
    assert found.mask(0).sum() == TAPS
