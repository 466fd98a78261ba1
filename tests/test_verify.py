import math

import numpy as np
import pytest

from sparsepass.errors import UsageError
from sparsepass.samples import Samples
from sparsepass.verify import (
    EPSILON,
    Comparison,
    Difference,
    compare,
    rounding_bound,
    rounding_tolerances,
)


def samples(*feeds: dict) -> Samples:
    return Samples("made up", lambda index: feeds[index], tuple(range(len(feeds))))


def compared(reference, found) -> Comparison:
    """Compare two networks of one sample; arrays or mappings from output names to them."""
    a, b = (
        v if isinstance(v, dict) else {"y": np.asarray(v, np.float32)} for v in (reference, found)
    )
    return compare(lambda feed: a, lambda feed: b, samples({}))


def test_equal_outputs_differ_by_nothing():
    found = compared([[1, 2, 3]], [[1, 2, 3]])

    assert found.outputs["y"] == Difference(0.0, 3.0, 0.0, discrete=False, finite=True)
    assert found.top1 == 1.0


def test_differences_are_measured_in_three_ways():
    found = compared([3.0, 4.0], [3.0, 4.5]).outputs["y"]

    assert (found.absolute, found.scaled) == (0.5, 0.125)
    assert found.relative == 0.5 / 5


def test_the_largest_difference_of_all_samples_counts():
    feeds = samples(*({"x": np.float32(value)} for value in (0, 3, 1)))

    found = compare(lambda f: {"y": f["x"] * 0 + 1}, lambda f: {"y": f["x"] + 1}, feeds)

    assert found.outputs["y"].absolute == 3
    assert found.samples == 3


def test_progress_is_told_after_each_sample():
    told = []

    compare(lambda f: {}, lambda f: {}, samples({}, {}), lambda *step: told.append(step))

    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        ([math.nan, 1], [math.nan, 1], 0.0),
        ([math.inf, 1], [math.inf, 1], 0.0),
        ([1, 1], [math.nan, 1], math.inf),
        ([math.nan, 1], [1, 1], math.inf),
        ([math.inf, 1], [-math.inf, 1], math.inf),
        ([math.inf, 1], [3, 1], math.inf),
    ],
)
def test_what_is_not_finite_has_to_be_the_same(reference, found, expected):
    assert compared(reference, found).outputs["y"].absolute == expected


def test_outputs_with_nan_are_marked():
    assert not compared([math.nan, 1], [math.nan, 1]).outputs["y"].finite


def test_another_shape_or_type_is_an_infinite_difference():
    y = np.ones(2, np.float32)

    assert compared(y, y[:1]).outputs["y"].absolute == math.inf
    assert compared({"y": y}, {"y": y.astype(np.float64)}).outputs["y"].absolute == math.inf


def test_empty_outputs_are_equal():
    assert compared([], []).outputs["y"].absolute == 0


def test_networks_with_other_outputs_are_refused():
    with pytest.raises(UsageError, match="output 'z'"):
        compared({"y": np.ones(1)}, {"y": np.ones(1), "z": np.ones(1)})


def test_top1_is_the_share_of_rows_whose_largest_stays():
    found = compared([[1, 2], [2, 1]], [[1, 2], [1, 2]])

    assert found.top1 == 0.5


def test_top1_is_absent_without_rows_of_classes():
    assert compared([1, 2], [1, 2]).top1 is None


def answered(reference, found, labels=None):
    given = Samples(
        "made up", lambda index: {}, (0,), labels=labels, batch=len(reference), entries=0
    )
    a, b = (np.asarray(values, np.float32) for values in (reference, found))
    return compare(lambda feed: {"y": a}, lambda feed: {"y": b}, given).answers


BEFORE, AFTER = [[1, 0], [1, 0], [0, 1], [0, 1]], [[0, 1], [1, 0], [1, 0], [1, 0]]


def test_answers_are_none_where_an_output_is_a_list_of_rows():
    rows = {"y": [np.ones((2, 3), np.float32)]}

    found = compared(rows, rows)

    assert found.answers is None
    assert found.outputs["y"].absolute == 0.0


def test_answers_are_paired_against_the_original_without_labels():
    found = answered(BEFORE, AFTER)

    assert (found.against, found.images, found.lost, found.gained) == ("original", 4, 3, 0)
    assert found.right_before == 1.0


def test_answers_are_paired_against_labels_both_ways():
    found = answered(BEFORE, AFTER, labels=(0, 0, 0, 1))

    assert (found.against, found.lost, found.gained) == ("labels", 2, 1)
    assert found.right_before == 0.75
    assert found.drop_points == 25


def test_rows_of_classes_may_have_axes_of_one_behind():
    found = answered(np.reshape(BEFORE, (4, 2, 1, 1)), np.reshape(AFTER, (4, 2, 1, 1)))

    assert found.lost == 3


def test_images_that_are_shown_again_are_not_counted_again():
    feeds = Samples("made up", lambda index: {}, (0, 1, -1), repeats=1)
    y = np.asarray(BEFORE, np.float32)

    assert compare(lambda feed: {"y": y}, lambda feed: {"y": y}, feeds).answers.images == 8


# --- tolerances ----------------------------------------------------------------------------------


class TapsOnly:
    """A layer, as far as tolerances look at it."""

    def __init__(self, taps: int) -> None:
        self.taps = taps


def noise(*, absolute: float, magnitude: float = 1.0, discrete: bool = False) -> Comparison:
    found = Difference(absolute, magnitude, 0.0, discrete=discrete, finite=True)
    return Comparison({"y": found}, None, 1)


def test_the_bound_adds_up_over_layers():
    assert rounding_bound([TapsOnly(8), TapsOnly(15)]) == 8 * EPSILON * (3 + 4)


@pytest.mark.parametrize(
    ("absolute", "expected"),
    [
        (0.0, 8 * EPSILON),
        (10 * EPSILON, 40 * EPSILON),
        (1.0, 8 * EPSILON * 11),
        (math.inf, 8 * EPSILON * 11),
    ],
)
def test_a_tolerance_is_four_times_the_noise_within_bounds(absolute, expected):
    found = rounding_tolerances(noise(absolute=absolute), [TapsOnly(120)])

    assert found == {"y": pytest.approx(expected)}


def test_noise_counts_relative_to_the_largest_value():
    found = rounding_tolerances(noise(absolute=1e-4, magnitude=100), [TapsOnly(120)])

    assert found == {"y": pytest.approx(4e-6)}


@pytest.mark.parametrize(("absolute", "expected"), [(0, 0), (2, 8), (math.inf, 0)])
def test_integers_are_equal_unless_rounding_itself_changes_them(absolute, expected):
    found = rounding_tolerances(noise(absolute=absolute, discrete=True), [TapsOnly(120)])

    assert found == {"y": expected}


def test_each_output_has_a_tolerance_of_its_own():
    small = np.array([1e-3], np.float32)
    found = compared(
        {"big": small + 1000, "small": small}, {"big": small + 1000, "small": small * 2}
    )

    verification = found.exact({"big": 1e-5, "small": 1e-5})

    assert not verification.passed
    assert "output small" in verification.derivation
    assert verification.tolerance == pytest.approx(1e-8)


def test_a_difference_in_an_output_that_tolerates_none_fails():
    labels = np.array([1, 2])

    verification = compared({"labels": labels}, {"labels": labels + 1}).exact({"labels": 0.0})

    assert not verification.passed


@pytest.mark.parametrize(("max_error", "passed"), [(0.11, True), (0.09, False)])
def test_a_lossy_verification_compares_relative_errors(max_error, passed):
    verification = compared([3.0, 4.0], [3.0, 4.5]).within(max_error)

    assert verification.max_relative_error == pytest.approx(0.1)
    assert verification.passed is passed
