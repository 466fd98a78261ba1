"""Comparing the outputs of two networks, and how far apart rounding alone may bring them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.answers import AnswerTally, class_rows
from sparsepass.errors import UsageError
from sparsepass.layer import Layer
from sparsepass.network import Run, leaves
from sparsepass.report.schema import PairedAnswers, Verification
from sparsepass.run import Steps
from sparsepass.samples import Samples

__all__ = [
    "ROUNDING",
    "Comparison",
    "Difference",
    "compare",
    "rounding_bound",
    "rounding_tolerances",
]

EPSILON = float(np.finfo(np.float32).eps)
# A measured deviation is one draw of rounding errors, another way to compute is another draw.  The
# algorithms that round most, Winograd's on 4x4 tiles, were seen at 0.7 to 1.7 times the deviation.
DRAWS = 4.0
# Roundings of the largest output that are always allowed, however well a network cancels errors.
LAST_ROUNDINGS = 8.0
# How many standard deviations of accumulated rounding are conceivable (Higham and Mary, A new
# approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019).
DEVIATIONS = 8.0

ROUNDING = "4 times what the network's own rounding does to this output"


@dataclass(frozen=True)
class Difference:
    """How far one output is from its reference, over all samples.

    ``absolute`` is the largest difference, ``magnitude`` the largest finite reference, ``relative``
    the root of the summed squares of the differences over that of the references.  ``discrete``
    outputs are integers or truth values; ``finite`` tells whether all references are.
    """

    absolute: float
    magnitude: float
    relative: float
    discrete: bool
    finite: bool

    @property
    def scaled(self) -> float:
        """The largest difference over the largest reference."""
        return self.absolute / self.magnitude if self.magnitude else self.absolute

    def allowed(self, tolerance: float) -> float:
        """The difference that ``tolerance``, a share of the largest reference, stands for."""
        return tolerance * (self.magnitude or 1.0)

    def excess(self, tolerance: float) -> float:
        """The difference over what is allowed: at most 1 where the output is right."""
        if self.absolute == 0:
            return 0.0
        allowed = self.allowed(tolerance)
        return self.absolute / allowed if allowed else math.inf


@dataclass(frozen=True)
class Comparison:
    """Outputs of two networks over the same samples.

    ``top1`` is the share of rows of classes whose largest entry stays in place, None where no
    output has such rows; ``answers`` counts those of the first output that has, against the labels
    of the samples where these are known.
    """

    outputs: Mapping[str, Difference]
    top1: float | None
    samples: int
    answers: PairedAnswers | None = None

    @property
    def relative(self) -> float:
        """The relative error of the worst output of floats."""
        floats = (d.relative for d in self.outputs.values() if not d.discrete)
        return max(floats, default=0.0)

    @property
    def repeats(self) -> bool:
        """Whether nothing differs but the last roundings."""
        last = LAST_ROUNDINGS * EPSILON
        return all(found.excess(last) <= 1 for found in self.outputs.values())

    def exact(self, tolerances: Mapping[str, float]) -> Verification:
        """Verify that outputs differ by rounding at most, see ``rounding_tolerances``.

        The result shows the output that is nearest to failing.
        """
        name = max(self.outputs, key=lambda name: self.outputs[name].excess(tolerances[name]))
        worst = self.outputs[name]
        return Verification(
            max_absolute_error=worst.absolute,
            max_relative_error=worst.scaled,
            tolerance=worst.allowed(tolerances[name]),
            derivation=f"output {name}: {ROUNDING}",
            samples=self.samples,
            top1_agreement=self.top1,
            answers=self.answers,
        )

    def within(self, max_error: float, max_drop: float | None = None) -> Verification:
        """Verify that the relative error of every output is at most ``max_error``.

        ``max_drop`` limits the drop of right answers, in percentage points.
        """
        return Verification(
            max_absolute_error=self.relative,
            max_relative_error=self.relative,
            tolerance=max_error,
            derivation="the error budget; relative to the root mean square of the output",
            samples=self.samples,
            top1_agreement=self.top1,
            answers=self.answers,
            max_drop_points=max_drop,
        )


def rounding_tolerances(noise: Comparison, layers: Iterable[Layer]) -> dict[str, float]:
    """For each output, the share of its largest value by which exact computations may differ.

    ``noise`` compares the network with one whose weights are disturbed as rounding disturbs them
    (see ``pipeline.noise``).  Allowed are ``DRAWS`` times that, at least ``LAST_ROUNDINGS``
    roundings of the largest value and at most ``rounding_bound``.  Discrete outputs have to be
    equal, except where the network's own rounding changes them.
    """
    bound = rounding_bound(layers)
    return {name: tolerance_of(found, bound) for name, found in noise.outputs.items()}


def tolerance_of(noise: Difference, bound: float) -> float:
    if noise.discrete:
        return DRAWS * noise.scaled if math.isfinite(noise.scaled) else 0.0
    return max(min(DRAWS * noise.scaled, bound), LAST_ROUNDINGS * EPSILON)


def rounding_bound(layers: Iterable[Layer]) -> float:
    """Rounding errors of a network that does not amplify them, relative to its largest output.

    A sum of n terms rounds n times; errors of random sign add up to about sqrt(n) epsilon of
    its magnitude, and those of the layers on a path add up at most.
    """
    return DEVIATIONS * EPSILON * sum(math.sqrt(layer.taps + 1) for layer in layers)


def compare(
    original: Run,
    rewritten: Run,
    samples: Samples,
    progress: Steps = lambda done, total: None,
) -> Comparison:
    """Run both networks on every sample; outputs of one sample are in memory at a time.

    Raises UsageError where the networks do not have the same outputs.
    """
    tallies: dict[str, Tally] = {}
    answers = AnswerTally()
    for done, feed in enumerate(samples, start=1):
        references, found = original(feed), rewritten(feed)
        if missing := set(references) ^ set(found):
            raise UsageError(
                f"output '{min(missing)}' is in one of the models only; give two models that agree"
            )
        for name, reference in references.items():
            tallies.setdefault(name, Tally()).add_all(leaves(reference), leaves(found[name]))
        if not samples.is_repeat(done - 1):
            answers.add(references, found, samples.labels_of(done - 1))
        progress(done, len(samples))
    agreements = [share for tally in tallies.values() for share in tally.agreements]
    return Comparison(
        outputs={name: tally.difference() for name, tally in tallies.items()},
        top1=float(np.mean(agreements)) if agreements else None,
        samples=len(samples),
        answers=answers.result(),
    )


@dataclass
class Tally:
    """Running sums and maxima of one output; it is ``discrete`` where all parts of it are."""

    absolute: float = 0.0
    magnitude: float = 0.0
    change: float = 0.0
    energy: float = 0.0
    discrete: bool = True
    finite: bool = True
    agreements: list[float] = field(default_factory=list[float])

    def add_all(self, references: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> None:
        """Add one sample of an output that may have several parts, or none."""
        if len(references) != len(found):
            self.absolute = self.change = math.inf
            return
        for one, other in zip(references, found, strict=True):
            self.add(one, other)

    def add(self, reference: NDArray[Any], found: NDArray[Any]) -> None:
        """Add one sample; a value that is NaN or infinite on both sides alike is no difference."""
        self.discrete = self.discrete and reference.dtype.kind != "f"
        if reference.dtype.kind in "OUS":
            self.absolute = max(self.absolute, float(not np.array_equal(reference, found)))
            return
        if reference.shape != found.shape or reference.dtype != found.dtype:
            self.absolute = self.change = math.inf
            return
        if reference.size == 0:
            return
        a, b = reference.astype(np.float64), found.astype(np.float64)
        usual = np.isfinite(a)
        gaps = differences(a, b)
        self.finite = self.finite and bool(usual.all())
        self.absolute = max(self.absolute, float(gaps.max()))
        self.magnitude = max(
            self.magnitude, float(np.abs(a, where=usual, out=np.zeros_like(a)).max())
        )
        self.change += float(np.square(gaps).sum())
        self.energy += float(np.square(a, where=usual, out=np.zeros_like(a)).sum())
        rows, others = class_rows(reference), class_rows(found)
        if rows is not None and others is not None:
            self.agreements.append(np.count_nonzero(rows.argmax(1) == others.argmax(1)) / len(rows))

    def difference(self) -> Difference:
        """What the samples add up to."""
        relative = math.inf if self.change > 0 else 0.0
        if self.energy > 0:
            relative = math.sqrt(self.change / self.energy)
        return Difference(self.absolute, self.magnitude, relative, self.discrete, self.finite)


def differences(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute differences; infinite where only one side is NaN or infinite."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gaps: NDArray[np.float64] = np.asarray(np.abs(a - b))
    gaps[same] = 0.0
    return np.nan_to_num(gaps, nan=math.inf, posinf=math.inf)
