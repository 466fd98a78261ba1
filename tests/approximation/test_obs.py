"""Optimal brain surgeon against the definition: every removal tried, every rest fitted."""

import numpy as np
import pytest

from sparsepass.approximation.obs import removals


def moments_of(taps, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((taps, 4 * taps)) + rng.standard_normal((1, 4 * taps))
    return x @ x.T / x.shape[1]


def fitted(row, kept, moments):
    """The least-squares fit of a row on a support, and what it costs, by normal equations."""
    found = np.zeros_like(row)
    if kept:
        at = np.ix_(kept, kept)
        found[kept] = np.linalg.solve(moments[at], (moments @ row)[kept])
    change = found - row
    return found, float(change @ moments @ change)


def greedy(row, moments):
    """The order and the costs of removals that are best one by one."""
    kept, order, costs, before = list(range(len(row))), [], [], 0.0
    while kept:
        tried = {p: fitted(row, [k for k in kept if k != p], moments)[1] for p in kept}
        worst = min(tried, key=tried.get)
        kept.remove(worst)
        order.append(worst)
        costs.append(tried[worst] - before)
        before = tried[worst]
    return order, costs


@pytest.mark.parametrize("taps", [1, 2, 9, 40])
def test_removals_are_those_of_brute_force(taps):
    rng = np.random.default_rng(1)
    weight, moments = rng.standard_normal((3, taps)), moments_of(taps)

    trace = removals(weight, moments)

    for row, order, costs in zip(weight, trace.order, trace.costs, strict=True):
        expected_order, expected = greedy(row, moments)
        whole = row @ moments @ row
        assert order.tolist() == expected_order
        np.testing.assert_allclose(costs, expected, atol=taps**2 * 2.0**-23 * whole)


def test_two_equal_inputs_need_one_weight():
    moments = np.array([[1.0, 0.99], [0.99, 1.0]])

    trace = removals(np.array([[1.0, 1.0]]), moments)

    # The one that stays takes over: w = 1.99, and the error is 1 - 0.99^2.
    np.testing.assert_allclose(trace.costs, [[1 - 0.99**2, 1.99**2]], rtol=1e-4)


def test_rows_do_not_depend_on_those_beside_them():
    weight, moments = np.random.default_rng(1).standard_normal((5, 30)), moments_of(30)

    together = removals(weight, moments)
    alone = removals(weight[2:3], moments)

    np.testing.assert_array_equal(together.order[2], alone.order[0])


def test_zeros_go_first_and_cost_nothing():
    weight, moments = np.random.default_rng(1).standard_normal((2, 20)), moments_of(20)
    weight[:, ::2] = 0

    trace = removals(weight, moments)

    assert np.all(np.sort(trace.order[:, :10]) == np.arange(0, 20, 2))
    assert not trace.costs[:, :10].any()
