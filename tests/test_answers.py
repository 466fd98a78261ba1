"""The expected drop of answers: calibrated, unbiased, steadier than the count."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from sparsepass.answers import AnswerTally, expected_drop, temperature
from sparsepass.report.schema import ExpectedDrop, PairedAnswers

CLASSES = 10


def drawn(images: int, heat: float = 1.0, seed: int = 0):
    """Logits, and labels drawn by their softmax at the temperature ``heat``."""
    random = np.random.default_rng(seed)
    logits = 3 * random.standard_normal((images, CLASSES))
    chances = softmax(logits / heat, axis=1).cumsum(axis=1)
    labels = (random.random((images, 1)) > chances).sum(axis=1)
    return logits, np.minimum(labels, CLASSES - 1)


def with_errors(logits, size: float, slope: float = 1.0, seed: int = 1):
    """Logits with errors of one size, and smaller by a factor."""
    return slope * logits + size * np.random.default_rng(seed).standard_normal(logits.shape)


def counted(logits, after, labels) -> float:
    """The drop that was counted, in points."""
    return 100 * np.mean((logits.argmax(1) == labels) * 1.0 - (after.argmax(1) == labels))


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(heat):
    assert temperature(*drawn(20_000, heat)) == pytest.approx(heat, rel=0.05)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("slope", [1.0, 0.8])
def test_the_expected_drop_is_the_drop_of_many_images(heat, slope):
    logits, labels = drawn(100_000, heat)
    after = with_errors(logits, 1.0, slope)
    changed = np.mean(logits.argmax(1) != after.argmax(1))

    found = expected_drop(logits, after, labels)

    # The count's standard error is at most sqrt(share changed / images).
    expected = counted(logits, after, labels)
    assert found.points == pytest.approx(expected, abs=3 * 100 * math.sqrt(changed / 100_000))


def test_the_expected_drop_varies_less_than_the_count():
    drops, counts, errors = [], [], []
    for seed in range(100):
        logits, labels = drawn(250, seed=seed)
        after = with_errors(logits, 0.5, seed=seed + 1000)
        found = expected_drop(logits, after, labels)
        drops.append(found.points)
        errors.append(found.standard_error_points)
        counts.append(counted(logits, after, labels))

    assert np.std(drops) < np.std(counts) / 4
    assert np.mean(drops) == pytest.approx(np.mean(counts), abs=3 * np.std(counts) / 10)
    # A standard deviation of 100 values is known to 7 %.
    assert np.mean(errors) == pytest.approx(np.std(drops), rel=0.25)


def test_errors_of_either_sign_are_expected_alike():
    logits, labels = drawn(2000)
    errors = with_errors(np.zeros_like(logits), 0.5)
    errors -= logits * np.sum(errors * logits) / np.sum(logits**2)

    one, other = (expected_drop(logits, logits + sign * errors, labels) for sign in (1, -1))

    assert one.points == pytest.approx(other.points, rel=0.1)


def test_probabilities_are_taken_as_they_are():
    logits, labels = drawn(500)
    pair = logits, with_errors(logits, 0.5)

    one, other = (
        expected_drop(*rows, labels) for rows in (pair, [softmax(rows, axis=1) for rows in pair])
    )

    assert one.points == pytest.approx(other.points, rel=1e-6)
    assert one.temperature == pytest.approx(other.temperature, rel=1e-6)


def test_nothing_is_expected_of_rows_that_are_not_finite():
    rows, finite = np.array([[1.0, np.nan], [1.0, 0.0]]), np.eye(2)

    assert expected_drop(rows, finite, np.array([0, 0])) is None
    assert expected_drop(finite, rows, np.array([0, 0])) is None


def test_answers_that_stay_cost_nothing():
    logits, labels = drawn(50)

    found = expected_drop(logits, logits, labels)

    assert (found.points, found.standard_error_points) == (0.0, 0.0)


def test_without_labels_changed_answers_are_counted():
    tally = AnswerTally()
    tally.add({"y": np.eye(4, dtype=np.float32)}, {"y": np.eye(4, dtype=np.float32)[::-1]}, None)

    found = tally.result()

    assert found.expected is None
    assert found.judged == (100.0, 0.0)


@pytest.mark.parametrize(
    ("lost", "judged"),
    [
        (5, 1.5),  # 5 +- 2.2 points: two standard errors below are less than what is expected
        (30, 30.0),  # 30 +- 4.6: nothing that chance would do
    ],
)
def test_a_count_that_is_no_chance_is_judged_instead(lost, judged):
    expected = ExpectedDrop(points=1.5, standard_error_points=0.3, temperature=1.0)

    found = PairedAnswers.count(
        "labels", images=100, right=90, lost=lost, gained=0, expected=expected
    )

    assert found.judged[0] == judged
