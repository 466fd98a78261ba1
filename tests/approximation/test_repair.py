"""Channel statistics before and after their repair."""

import numpy as np

from sparsepass.approximation import repaired


def covariance():
    x = np.random.default_rng(0).standard_normal((12, 100))
    return np.cov(x, bias=True)


def test_rows_have_the_wanted_variance():
    rng = np.random.default_rng(1)
    weight, wanted = rng.standard_normal((5, 12)), rng.random(5) + 0.1

    found = repaired(weight, covariance(), wanted)

    variances = np.einsum("rt,tu,ru->r", found, covariance(), found)
    np.testing.assert_allclose(variances, wanted, rtol=1e-12)


def test_a_share_goes_part_of_the_way():
    weight = np.random.default_rng(1).standard_normal((5, 12))
    before = np.einsum("rt,tu,ru->r", weight, covariance(), weight)

    found = repaired(weight, covariance(), 4 * before, share=0.5)

    np.testing.assert_allclose(found, np.sqrt(2) * weight, rtol=1e-12)


def test_rows_that_do_not_vary_stay():
    weight = np.zeros((2, 12))

    np.testing.assert_array_equal(repaired(weight, covariance(), np.ones(2)), weight)
