"""Budgets fitted to what is measured, against networks that are functions."""

import math

import pytest

from sparsepass.pipeline.budget import fit
from sparsepass.pipeline.trials import Verified
from sparsepass.plan import Choice
from sparsepass.report.schema import ExpectedDrop, PairedAnswers, Verification


def lossy(rank: int) -> tuple[Choice, ...]:
    return (Choice(layer="a", algorithm="low-rank", parameters={"rank": rank}),)


def verified(error: float, max_error: float) -> Verified:
    found = Verification(
        max_absolute_error=error,
        max_relative_error=error,
        tolerance=max_error,
        derivation="by hand",
        samples=1,
    )
    return Verified(found, error)


def fitted(measure, *, max_error=0.1, step=1e-6):
    """A plan for each ``step`` of budget, whose error is ``measure`` of it."""
    return fit(
        lambda budget: lossy(round(budget / step)),
        lambda choices: verified(measure(choices[0].parameters["rank"] * step), max_error),
        first=max_error,
    )


@pytest.mark.parametrize("factor", [0.3, 0.8, 0.95, 1.0, 1.3, 3.0])
@pytest.mark.parametrize("power", [0.7, 1.0, 1.5])
def test_what_is_measured_comes_near_what_is_allowed(factor, power):
    def measure(budget):
        return factor * 0.1 * (budget / 0.1) ** power

    found = fitted(measure)

    assert 0.09 <= measure(found.budget) <= 0.1
    assert len(found.tried) <= 5


def test_the_right_prediction_takes_one_verification():
    assert len(fitted(lambda budget: budget * 0.99).tried) == 1


def test_nothing_that_fits_is_no_budget():
    found = fitted(lambda budget: 1.0)

    assert (found.budget, found.best) == (0.0, None)


def test_offers_that_are_steps_end_the_fit():
    found = fitted(lambda budget: 0.7 * budget, step=0.09)

    assert found.best.spent == pytest.approx(0.63)
    assert len(found.tried) <= 8


def test_what_is_not_a_number_is_tightened():
    found = fitted(lambda budget: budget if budget < 0.05 else math.nan)

    assert 0 < found.budget <= 0.05


def test_exact_plans_are_not_verified_and_loosened():
    asked = []

    def choose(budget):
        asked.append(budget)
        return lossy(1) if budget > 0.15 else ()

    found = fit(choose, lambda choices: verified(0.095, 0.1), first=0.1)

    assert asked[:2] == [0.1, 0.4]
    assert found.best.choices == lossy(1)


def answers(lost: int, gained: int, images: int = 100) -> PairedAnswers:
    return PairedAnswers.count("labels", images=images, right=80, lost=lost, gained=gained)


@pytest.mark.parametrize(
    ("lost", "gained", "drop", "error"), [(0, 0, 0, 0), (10, 10, 0, 4.472), (9, 1, 8, 3.059)]
)
def test_a_drop_is_paired(lost, gained, drop, error):
    found = answers(lost, gained)

    assert found.drop_points == drop
    assert found.standard_error_points == pytest.approx(error, abs=1e-3)


@pytest.mark.parametrize(("lost", "passed", "spent"), [(2, False, 2.0), (1, True, 1.0)])
def test_a_drop_counts_beside_the_error(lost, passed, spent):
    found = verified(0.01, 0.1).verification.model_copy(
        update={"answers": answers(lost, 0), "max_drop_points": 1.0}
    )

    assert found.passed is passed
    assert found.spent == pytest.approx(spent)


def test_a_drop_of_nothing_may_be_asked_for():
    found = verified(0.01, 0.1).verification

    kept, lost = (
        found.model_copy(update={"answers": answers(n, 0), "max_drop_points": 0.0}) for n in (0, 1)
    )

    assert kept.passed
    assert kept.spent == pytest.approx(0.1)
    assert lost.spent == math.inf


def test_a_search_holds_an_expected_drop_by_its_standard_error():
    expected = ExpectedDrop(points=0.9, standard_error_points=0.3, temperature=1.0)
    given = answers(1, 0).model_copy(update={"expected": expected})
    found = verified(0.01, 0.1).verification.model_copy(
        update={"answers": given, "max_drop_points": 1.0}
    )

    assert found.passed
    assert found.spent == pytest.approx(1.2)
