"""Proof that a rewritten network gives the outputs of the original, and that it is faster."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Layer
from sparsepass.report.schema import Verification
from sparsepass.samples import Samples
from sparsepass.sensitivity import relative_error

__all__ = ["Comparison", "compare", "rounding_tolerance"]

EPSILON = float(np.finfo(np.float32).eps)
# How many standard deviations of accumulated rounding are allowed (Higham and Mary, probabilistic
# rounding error analysis, SIAM J. Sci. Comput. 41, 2019).
DEVIATIONS = 8.0

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Mapping[str, Any]], Arrays]


@dataclass(frozen=True)
class Comparison:
    """Outputs of two networks over the same samples.

    ``absolute`` is the largest difference, ``scaled`` the largest difference over the largest
    magnitude of its output, ``relative`` the root of the summed squares of differences over that
    of the outputs, ``top1`` the share of rows whose largest entry stays in place (None where no output
    has rows of classes).
    """

    absolute: float
    scaled: float
    relative: float
    magnitude: float
    top1: float | None
    samples: int

    def verification(self, tolerance: float, derivation: str) -> Verification:
        """The comparison as the report holds it; ``tolerance`` is relative to the magnitude."""
        return Verification(
            max_absolute_error=self.absolute,
            max_relative_error=self.scaled,
            tolerance=tolerance * self.magnitude,
            derivation=derivation,
            samples=self.samples,
            top1_agreement=self.top1,
        )


def rounding_tolerance(layers: Sequence[Layer]) -> float:
    """Allowed difference, relative to the largest output, of two exact ways to compute a network.

    A dot product of n terms rounds n times; errors of random sign add up to about
    sqrt(n) * epsilon of its magnitude, and those of the layers on a path add up at most.
    """
    return DEVIATIONS * EPSILON * sum(math.sqrt(layer.taps + 1) for layer in layers)


def compare(
    original: Run,
    rewritten: Run,
    samples: Samples,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Run both networks on every sample.  Outputs that are not numbers of float are compared exactly."""
    references: list[Arrays] = []
    found: list[Arrays] = []
    for done, feed in enumerate(samples, start=1):
        references.append(original(feed))
        found.append(rewritten(feed))
        progress(done, len(samples))
    pairs = [(a[name], b[name]) for a, b in zip(references, found, strict=True) for name in a]
    absolute = max((difference(a, b) for a, b in pairs), default=0.0)
    magnitude = max((largest(a) for a, _ in pairs), default=0.0)
    scaled = max((difference(a, b) / (largest(a) or 1.0) for a, b in pairs), default=0.0)
    return Comparison(
        absolute,
        scaled,
        relative_error(references, found),
        magnitude,
        agreement(pairs),
        len(samples),
    )


def difference(reference: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest difference; infinite where shapes differ or a value is NaN on one side only."""
    if reference.shape != found.shape:
        return math.inf
    if reference.size == 0:
        return 0.0
    a, b = reference.astype(np.float64), found.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    gaps = np.where(same, 0.0, np.abs(a - b))
    return math.inf if np.isnan(gaps).any() else float(gaps.max())


def largest(values: NDArray[Any]) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def agreement(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float | None:
    rows = [
        np.mean(a.argmax(axis=-1) == b.argmax(axis=-1))
        for a, b in pairs
        if a.ndim == 2 and a.shape[1] > 1 and a.dtype.kind == "f"
    ]
    return float(np.mean(rows)) if rows else None
