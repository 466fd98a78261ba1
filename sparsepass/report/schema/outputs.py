"""What became of the outputs: errors, answers, and what was allowed of them."""

import math
from typing import Literal, Self

from sparsepass.report.schema.value import Value

__all__ = ["ErrorBudget", "ExpectedDrop", "PairedAnswers", "ParetoPoint", "Verification"]

# Standard errors beyond which what was counted is no chance.
CERTAIN = 2.0


class ErrorBudget(Value):
    """Relative output errors: allowed, expected, and measured on samples the fit did not see.

    ``max_error`` is 0 where only the answers are limited, by ``max_drop_points``.  ``planned`` is
    the sum that the plan was chosen for, so that what was measured comes near what is allowed.
    """

    max_error: float
    predicted: float
    measured: float | None = None
    max_drop_points: float | None = None
    planned: float | None = None


class ExpectedDrop(Value):
    """The drop that the original's own probabilities expect of the answers that changed.

    The mean of p(answer before) - p(answer after) over the images, with its standard error, in
    percentage points; p is the softmax of the original at the ``temperature`` that fits the labels.
    """

    points: float
    standard_error_points: float
    temperature: float


class PairedAnswers(Value):
    """First answers of a classifier before and after, image by image.

    An answer is right that equals the label or, ``against`` the original, that of the original.
    ``lost`` images were right before and are wrong now, ``gained`` ones the reverse; the others
    tell nothing of a change.  The drop is (lost - gained) / images, its standard error that of
    paired differences, sqrt(lost + gained - (lost - gained)^2 / images) / images; both in
    percentage points.  ``right_before`` is the share of right answers of the original.

    A limit is held against the ``judged`` drop: the expected one where there are labels, which
    chance moves less, unless what was counted is certainly more.
    """

    against: Literal["labels", "original"]
    images: int
    lost: int
    gained: int
    right_before: float
    drop_points: float
    standard_error_points: float
    expected: ExpectedDrop | None = None

    @classmethod
    def count(
        cls,
        against: Literal["labels", "original"],
        *,
        images: int,
        right: int,
        lost: int,
        gained: int,
        expected: ExpectedDrop | None = None,
    ) -> Self:
        """The drop of ``images`` answers, of which the original had ``right`` ones."""
        change = lost - gained
        variance = max(lost + gained - change**2 / images, 0.0)
        return cls(
            against=against,
            images=images,
            lost=lost,
            gained=gained,
            right_before=right / images,
            drop_points=100 * change / images,
            standard_error_points=100 * math.sqrt(variance) / images,
            expected=expected,
        )

    @property
    def judged(self) -> tuple[float, float]:
        """The drop that a limit is held against and its standard error, in percentage points."""
        counted = self.drop_points, self.standard_error_points
        if self.expected is None:
            return counted
        certain = self.drop_points - CERTAIN * self.standard_error_points
        if certain > self.expected.points:
            return counted
        return self.expected.points, self.expected.standard_error_points

    @property
    def cautious(self) -> float:
        """What a search holds to a limit: of an expected drop, its standard error besides.

        Of many plans it takes the fastest within the limit, which is one that chance favours.
        """
        points, standard_error = self.judged
        is_expected = self.expected is not None and points == self.expected.points
        return points + standard_error if is_expected else points


class Verification(Value):
    """How far the outputs moved; ``tolerance`` bounds ``max_absolute_error``.

    ``answers`` are there where an output has rows of classes; ``max_drop_points`` bounds their
    drop, where it is limited.
    """

    max_absolute_error: float
    max_relative_error: float
    tolerance: float
    derivation: str
    samples: int
    top1_agreement: float | None = None
    answers: PairedAnswers | None = None
    max_drop_points: float | None = None

    @property
    def passed(self) -> bool:
        """False also where an error is NaN."""
        return self.max_absolute_error <= self.tolerance and self.drop_passed

    @property
    def drop_passed(self) -> bool:
        """Whether no more answers were lost than may be."""
        if self.max_drop_points is None or self.answers is None:
            return True
        return self.answers.judged[0] <= self.max_drop_points

    @property
    def spent(self) -> float:
        """The share of what is allowed that was taken; more than 1 where this did not pass.

        Of a drop in points it is the ``cautious`` one.
        """
        shares = [share_of(self.max_absolute_error, self.tolerance)]
        if self.max_drop_points is not None and self.answers is not None:
            shares.append(share_of(self.answers.cautious, self.max_drop_points))
        return max(shares)


class ParetoPoint(Value):
    """The plan of least time for an error budget, and what it does to the outputs.

    ``budget`` is 0 for the lossless plan.  ``layers_us`` and ``error`` are the sums that the plan
    was chosen by; what was measured of the whole network is on samples that were not fitted, and
    None where it was not.  ``chosen`` marks the plan that was taken.
    """

    budget: float
    lossy_layers: int
    layers_us: float
    error: float
    measured_error: float | None = None
    measured_ms: float | None = None
    speedup: float | None = None
    answers: PairedAnswers | None = None
    chosen: bool = False


def share_of(taken: float, allowed: float) -> float:
    if taken <= 0:
        return 0.0
    return taken / allowed if allowed > 0 else math.inf
