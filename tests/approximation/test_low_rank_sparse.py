"""Low rank plus sparse: exact where it can be, and never worse than either alone."""

import numpy as np
import pytest

from sparsepass.approximation import find_low_rank_sparse, find_supports, lost, rank_costs, refit
from sparsepass.approximation.moments import damped


def problem(rows: int = 24, taps: int = 40):
    """A weight, and second moments of inputs that go along with each other."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((rows, taps))
    samples = rng.standard_normal((4 * taps, taps)) @ rng.standard_normal((taps, taps))
    return weight, samples.T @ samples / len(samples)


def pruned(weight, moments, kept):
    """The mask that pruning finds, and what it costs."""
    mask = find_supports(weight, moments, [kept]).mask(0)
    steady = damped(moments)
    return mask, lost(refit(weight, mask, steady, weight @ steady) - weight, steady).sum()


def planted(rank: int, kept: int):
    """A weight that is a product of this rank and so many larger weights."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((48, rank)) @ rng.standard_normal((rank, 64)) / np.sqrt(rank)
    places = rng.choice(weight.size, kept, replace=False)
    weight.reshape(-1)[places] += 10 * rng.choice([-1.0, 1.0], kept)
    return weight


@pytest.mark.parametrize(("rows", "taps"), [(24, 40), (40, 24)])
def test_full_rank_is_exact(rows, taps):
    weight, moments = problem(rows, taps)
    mask, _ = pruned(weight, moments, 100)

    found = find_low_rank_sparse(weight, moments, min(rows, taps), mask)

    energy = lost(weight, damped(moments)).sum()
    assert found.cost < 1e-12 * energy
    np.testing.assert_allclose(found.low_rank + found.sparse, weight, atol=1e-6)


def test_rank_zero_costs_what_pruning_costs_or_less():
    weight, moments = problem()
    mask, cost = pruned(weight, moments, 100)

    found = find_low_rank_sparse(weight, moments, 0, mask)

    assert not found.low_rank.any()
    assert found.cost <= cost * (1 + 1e-12)


@pytest.mark.parametrize("rank", [1, 4, 12])
@pytest.mark.parametrize("kept", [0, 50, 300])
def test_it_keeps_to_rank_and_count_and_costs_less_than_either_alone(rank, kept):
    weight, moments = problem()
    mask, cost = pruned(weight, moments, kept)

    found = find_low_rank_sparse(weight, moments, rank, mask)

    nothing = np.zeros_like(mask)
    assert found.last.shape == (24, rank)
    assert found.first.shape == (rank, 40)
    assert np.count_nonzero(found.sparse) == kept
    assert found.cost < cost
    assert found.cost <= find_low_rank_sparse(weight, moments, rank, nothing).cost * (1 + 1e-12)


def test_cost_is_that_of_the_sum():
    weight, moments = problem()
    mask, _ = pruned(weight, moments, 100)

    found = find_low_rank_sparse(weight, moments, 4, mask)

    change = found.low_rank + found.sparse - weight
    assert found.cost == pytest.approx(lost(change, damped(moments)).sum(), rel=1e-12)


def test_rank_costs_bound_what_is_found():
    weight, moments = problem()
    mask, cost = pruned(weight, moments, 100)

    costs = rank_costs(weight, moments, mask)

    # They begin at a fit of few steps, and end at nothing.
    assert len(costs) == len(weight) + 1
    assert np.all(np.diff(costs) <= 0)
    assert costs[0] >= cost
    assert costs[-1] == 0
    for rank in (1, 4, 12):
        assert find_low_rank_sparse(weight, moments, rank, mask).cost <= costs[rank]


def test_a_planted_sum_is_found():
    weight, moments = planted(rank=4, kept=150), np.eye(64)
    mask, cost = pruned(weight, moments, 150)

    found = find_low_rank_sparse(weight, moments, 4, mask)

    assert found.cost < 1e-4 * cost
