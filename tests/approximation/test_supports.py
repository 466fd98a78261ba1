"""Supports at several densities, found in one run or searched for."""

import numpy as np
import pytest

from sparsepass.approximation import find_supports, lost, refit
from sparsepass.approximation import supports as module

ROWS, TAPS = 8, 60
KEPT = (240, 120, 48, 24)


def problem():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((TAPS, TAPS)) @ rng.standard_normal((TAPS, 500))
    moments = x @ x.T / x.shape[1]
    return rng.standard_normal((ROWS, TAPS)), moments


@pytest.fixture(params=["one by one", "search"])
def found(request, monkeypatch):
    if request.param == "search":
        monkeypatch.setattr(module, "MOST_TAPS_OF_A_TRACE", 0)
    return find_supports(*problem(), KEPT)


def test_supports_keep_as_many_weights_as_asked_for(found):
    assert [int(found.mask(number).sum()) for number in range(len(KEPT))] == list(KEPT)


def test_costs_are_those_of_the_fit_on_the_support(found):
    weight, moments = problem()
    steady = module.damped(moments)

    for number, cost in enumerate(found.costs):
        fit = refit(weight, found.mask(number), steady, weight @ steady)
        assert cost == pytest.approx(lost(fit - weight, steady).sum(), rel=0.05)


def test_supports_are_better_than_those_of_magnitude(found):
    weight, moments = problem()

    for number, kept in enumerate(KEPT):
        sizes = np.abs(weight)
        mask = sizes >= np.sort(sizes, axis=None)[-kept]
        fit = refit(weight, mask, moments, weight @ moments)
        assert found.costs[number] < lost(fit - weight, moments).sum()


def test_independent_inputs_keep_what_adds_most(found):
    weight = np.array([[3.0, 1.0], [2.0, 0.1]])
    moments = np.diag([1.0, 100.0])

    supports = find_supports(weight, moments, [2, 1])

    # Contributions are 9, 100; 4, 1: the search and the trace agree where nothing is correlated.
    assert supports.mask(0).tolist() == [[True, True], [False, False]]
    assert supports.mask(1).tolist() == [[False, True], [False, False]]


def test_inputs_that_are_always_zero_have_supports_without_cost():
    supports = find_supports(np.ones((2, 3)), np.zeros((3, 3)), [3, 1])

    assert [int(supports.mask(n).sum()) for n in range(2)] == [3, 1]
