"""First answers of two classifiers, image by image: how many right ones are lost.

Counted answers decide little: a few of hundreds change, either way by chance.  How likely each is
right the original knows well.  So its *expected* drop, the mean of p(answer before) minus
p(answer after), varies several times less from sample to sample than the count (Rao and Blackwell).
Its probabilities are the softmax at the temperature that fits the labels best (Guo et al., On
calibration of modern neural networks, arXiv 1706.04599): networks are too sure.

Which way the error of an output goes is chance too, so both are taken: the answer as it is, and
what it would be with the error the other way (antithetic variates, Hammersley and Morton, 1956).
That takes a third off the standard error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from sparsepass.report.schema import ExpectedDrop, PairedAnswers

__all__ = ["AnswerTally", "class_rows", "expected_drop", "temperature"]

# Their types are partial.
_optimize, _special = cast(Any, optimize), cast(Any, special)

Rows = NDArray[np.float64]
Classes = NDArray[np.int64]

# Temperatures that are searched, as natural logarithms: from answers as good as certain to chance.
COLDEST, HOTTEST = -3.0, 5.0
# Rows that add up to 1 within float32 are probabilities already.
SUM_ERROR = 1e-3


def class_rows(output: object) -> NDArray[Any] | None:
    """An output as (images, classes), or None where it is not that: axes of length 1 may follow."""
    if not isinstance(output, np.ndarray):
        return None
    rows = cast("NDArray[Any]", output)
    shape = rows.shape
    if rows.dtype.kind != "f" or len(shape) < 2 or shape[1] < 2 or math.prod(shape[2:]) != 1:
        return None
    return rows.reshape(shape[:2])


@dataclass
class AnswerTally:
    """First answers of the first output that has rows of classes, before and after."""

    before: list[Rows] = field(default_factory=list[Rows])
    after: list[Rows] = field(default_factory=list[Rows])
    labels: list[Classes] = field(default_factory=list[Classes])

    def add(
        self,
        references: Mapping[str, NDArray[Any]],
        found: Mapping[str, NDArray[Any]],
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add one sample; without ``labels`` the answers of the reference are the right ones."""
        pairs = ((class_rows(values), class_rows(found[n])) for n, values in references.items())
        before, after = next((pair for pair in pairs if pair[0] is not None), (None, None))
        if before is None or after is None or before.shape != after.shape:
            return
        self.before.append(before.astype(np.float64))
        self.after.append(after.astype(np.float64))
        if labels is not None:
            self.labels.append(labels)

    def result(self) -> PairedAnswers | None:
        """The paired answers, or None where there are none."""
        if not self.before:
            return None
        rows, after = np.concatenate(self.before), np.concatenate(self.after)
        first = rows.argmax(1)
        truth = np.concatenate(self.labels) if self.labels else first
        was, is_now = first == truth, after.argmax(1) == truth
        return PairedAnswers.count(
            "labels" if self.labels else "original",
            images=len(first),
            right=int(np.count_nonzero(was)),
            lost=int(np.count_nonzero(was & ~is_now)),
            gained=int(np.count_nonzero(~was & is_now)),
            expected=expected_drop(rows, after, truth) if self.labels else None,
        )


def expected_drop(before: Rows, after: Rows, labels: Classes) -> ExpectedDrop | None:
    """The drop that is expected where rows (images, classes) gave way to others.

    None where one is not finite.
    """
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return None
    logits, changed = as_logits(before), as_logits(after)
    found = temperature(logits, labels)
    chances = np.asarray(_special.softmax(logits / found, axis=1))
    images, opposite = np.arange(len(before)), mirrored(logits, changed, chances)
    given = [chances[images, rows.argmax(1)] for rows in (before, after, opposite)]
    changes = given[0] - (given[1] + given[2]) / 2
    return ExpectedDrop(
        points=100 * float(changes.mean()),
        standard_error_points=100 * float(changes.std()) / math.sqrt(len(before)),
        temperature=found,
    )


def mirrored(before: Rows, after: Rows, weights: Rows) -> Rows:
    """Logits with errors of the other sign.

    What is proportional to the logits stays as it is: an approximation that makes all of them
    smaller does so on any image.  ``weights`` say which classes count, and add up to 1 in a row.
    """
    own, others = (rows - np.sum(weights * rows, axis=1, keepdims=True) for rows in (before, after))
    spread = float(np.sum(weights * own**2))
    slope = float(np.sum(weights * own * others)) / spread if spread > 0 else 1.0
    return 2 * slope * before - after


def as_logits(rows: Rows) -> Rows:
    """``rows`` as they are, or the logarithms of probabilities."""
    sums = rows.sum(axis=1)
    if rows.min() >= 0 and np.abs(sums - 1).max() < SUM_ERROR:
        return np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    return rows


def temperature(logits: Rows, labels: Classes) -> float:
    """The temperature of the softmax of ``logits`` by which ``labels`` are likeliest."""
    images = np.arange(len(logits))

    def unlikely(log_temperature: float) -> float:
        likely = _special.log_softmax(logits / math.exp(log_temperature), axis=1)
        return -float(np.mean(np.asarray(likely)[images, labels]))

    found = _optimize.minimize_scalar(unlikely, bounds=(COLDEST, HOTTEST), method="bounded")
    return math.exp(float(found.x))
