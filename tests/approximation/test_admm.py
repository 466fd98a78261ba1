"""The search for a support, where the best one is known."""

from itertools import combinations

import numpy as np

from sparsepass.approximation import lost, refit
from sparsepass.approximation.admm import support


def test_search_finds_a_support_that_is_nearly_the_best_of_all():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10, 100)) + rng.standard_normal((1, 100))
    moments = x @ x.T / x.shape[1]
    weight = rng.standard_normal((1, 10))

    def cost(kept):
        mask = np.zeros((1, 10), bool)
        mask[0, list(kept)] = True
        return float(lost(refit(weight, mask, moments, weight @ moments) - weight, moments)[0])

    costs = sorted(cost(kept) for kept in combinations(range(10), 4))
    (found,) = support(weight, moments, [4])
    mask = found != 0

    assert mask.sum() == 4
    # Of 210 supports one of the best five.
    assert cost(np.flatnonzero(mask[0])) <= costs[4]


def test_whole_support_keeps_all():
    (found,) = support(np.ones((2, 3)), np.eye(3), [6])
    mask = found != 0

    assert mask.all()


def test_weights_of_what_hardly_varies_go_first_however_large():
    weight = np.array([[4.0, 3.0, 1.0, 2.0]])

    (found,) = support(weight, np.diag([1e-3, 1e-3, 1.0, 1.0]), [2])
    mask = found != 0

    np.testing.assert_array_equal(mask, [[False, False, True, True]])
