"""Prices from times: exact where they made the times, honest about what they did not see."""

import numpy as np
import pytest

from sparsepass.algorithms import Work
from sparsepass.profile import Transfer
from sparsepass.runtime import fitting
from sparsepass.runtime.fitting import Sample, corrected, fit, fit_kinds, fit_transfer, learned

KIND = ("spmm", "spatial")


def sample(macs: float, microseconds: float, shape: str = "", kind=KIND) -> Sample:
    return Sample(kind, shape or str(macs), Work(1e6 * macs, 0, 0, 0), microseconds)


def test_prices_that_made_the_times_are_found_again():
    rng = np.random.default_rng(0)
    counts = rng.uniform(1, 1e3, (40, 3)) * (1, 1e-3, 1e3)
    prices = np.array([2.0, 300.0, 0.5])

    found, errors = fit(counts.tolist(), (counts @ prices).tolist())

    # The solver's condition: columns of one size, weights within a factor of a thousand.
    assert found == pytest.approx(prices, rel=1e-2)
    assert errors.max() < 1e-2


def test_no_price_is_negative():
    found, _ = fit([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], [30.0, 20.0, 10.0])

    assert min(found) >= 0


def test_what_was_never_seen_is_free():
    assert fit_transfer([]) == Transfer(fixed=0.0, bytes=0.0)


def test_errors_are_those_of_shapes_that_were_not_fitted_to():
    fair = [sample(i, 10.0 * i) for i in range(1, 11)]
    odd = sample(5.5, 550.0, shape="odd")

    rates, errors = fit_kinds([*fair, odd])

    assert rates["spmm"]["spatial"].samples == 11
    assert errors[-1] == pytest.approx(rates["spmm"]["spatial"].worst_error)
    assert errors[-1] > 0.85


def test_too_few_samples_make_no_prices():
    assert fit_kinds([sample(i + 1, 1.0) for i in range(fitting.FEWEST_SAMPLES - 1)]) == ({}, [])


def test_prices_are_scaled_to_the_samples_of_their_kind_then_of_their_algorithm_then_of_all():
    kinds = [KIND, ("spmm", "pointwise"), ("dense", "first")]
    rates, _ = fit_kinds([sample(i, 10.0 * i, kind=kind) for kind in kinds for i in range(1, 11)])

    found, errors = corrected(rates, [sample(2, 40.0), sample(3, 60.0)])

    for name, which in kinds:
        assert found[name][which].macs == pytest.approx(2 * rates[name][which].macs)
    assert errors == pytest.approx([0, 0], abs=1e-6)


def test_prices_of_a_kind_are_moved_apart_where_its_samples_say_so():
    rates, _ = fit_kinds([sample(i, 30 + 10.0 * i) for i in range(1, 11)])
    before = rates["spmm"]["spatial"]

    # A machine that starts a node in half the time, and computes in twice.
    found, _ = corrected(rates, [sample(i, 15 + 20.0 * i) for i in (0.1, 1, 4, 9)])

    after = found["spmm"]["spatial"]
    assert (before.nodes, before.macs) == pytest.approx((30, 10), rel=0.05)
    assert (after.nodes, after.macs) == pytest.approx((15, 20), rel=0.15)
    assert after.median_error >= before.median_error


def test_what_another_machine_does_for_nothing_has_a_price_here_where_samples_say_so():
    rates, _ = fit_kinds([sample(i, 10.0 * i) for i in range(1, 11)])

    found, _ = corrected(rates, [sample(i, 30 + 10.0 * i) for i in (0.1, 1, 4, 9)])

    assert rates["spmm"]["spatial"].nodes < 1
    assert found["spmm"]["spatial"].nodes == pytest.approx(30, rel=0.15)


def test_learned_prices_follow_many_samples_and_stay_near_the_known_ones_of_few():
    known, _ = fit_kinds([sample(i, 10.0 * i) for i in range(1, 11)])
    doubled = [sample(i, 20.0 * i, shape=f"new {i}") for i in range(1, 31)]

    many, _ = learned(known, doubled)
    one, _ = learned(known, doubled[:1])

    assert many["spmm"]["spatial"].macs == pytest.approx(20, rel=0.02)
    assert 10.1 < one["spmm"]["spatial"].macs < 19


def test_learned_errors_are_those_of_prices_that_did_not_see_the_sample():
    known, _ = fit_kinds([sample(i, 10.0 * i) for i in range(1, 11)])

    _, errors = learned(known, [sample(10, 300.0)])

    assert errors == [pytest.approx(200 / 301, rel=0.01)]


def test_kinds_without_samples_keep_their_prices_and_free_ones_stay_free():
    other = ("mec", "spatial")
    known, _ = fit_kinds(
        [sample(i, 10.0 * i, kind=kind) for i in range(1, 11) for kind in (KIND, other)]
    )

    moved, _ = learned(known, [sample(i, 20.0 * i) for i in range(1, 11)])

    assert moved["mec"] == known["mec"]
    assert moved["spmm"]["spatial"].moves == known["spmm"]["spatial"].moves == 0
