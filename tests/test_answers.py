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


def seconds_best(logits, share: float):
    """The second best classes instead of the best for a share of the images, the closest ones."""
    ranked = np.sort(logits, axis=1)
    close = np.argsort(ranked[:, -1] - ranked[:, -2])[: int(share * len(logits))]
    after = logits.argmax(axis=1)
    after[close] = np.argsort(logits, axis=1)[close, -2]
    return after


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(heat):
    assert temperature(*drawn(20_000, heat)) == pytest.approx(heat, rel=0.05)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_expected_drop_is_the_drop_of_many_images(heat):
    logits, labels = drawn(100_000, heat)
    after = seconds_best(logits, 0.2)
    counted = 100 * np.mean((logits.argmax(1) == labels) * 1.0 - (after == labels))

    found = expected_drop(logits, after, labels)

    # The count's standard error is at most sqrt(share changed / images).
    assert found.points == pytest.approx(counted, abs=3 * 100 * math.sqrt(0.2 / 100_000))


def test_the_expected_drop_varies_less_than_the_count():
    expected, counted = [], []
    for seed in range(100):
        logits, labels = drawn(250, seed=seed)
        after = seconds_best(logits, 0.1)
        expected.append(expected_drop(logits, after, labels).points)
        counted.append(100 * np.mean((logits.argmax(1) == labels) * 1.0 - (after == labels)))

    assert np.std(expected) < np.std(counted) / 4
    assert np.mean(expected) == pytest.approx(np.mean(counted), abs=3 * np.std(counted) / 10)


def test_probabilities_are_taken_as_they_are():
    logits, labels = drawn(500)
    after = seconds_best(logits, 0.2)

    one, other = (expected_drop(rows, after, labels) for rows in (logits, softmax(logits, axis=1)))

    assert one.points == pytest.approx(other.points, rel=1e-6)
    assert one.temperature == pytest.approx(other.temperature, rel=1e-6)


def test_nothing_is_expected_of_rows_that_are_not_finite():
    rows = np.array([[1.0, np.nan], [1.0, 0.0]])

    assert expected_drop(rows, np.array([0, 1]), np.array([0, 0])) is None


def test_answers_that_stay_cost_nothing():
    logits, labels = drawn(50)

    found = expected_drop(logits, logits.argmax(1), labels)

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
