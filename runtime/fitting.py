"""From measured times of counted work to prices, and how far these are off elsewhere."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy import optimize

from sparsepass.algorithms import Work
from sparsepass.cost import FEATURES, features, priced
from sparsepass.profile import MachineProfile, Rates, Transfer, cpu_name

__all__ = ["Sample", "corrected", "fit", "fit_kinds", "fit_transfer", "learned", "revised"]

_optimize = cast(Any, optimize)  # its types are partial

# ONNX Runtime's profile counts whole microseconds.
RESOLUTION = 1.0
# Errors up to this one count by their squares; the rounds in which a fit finds out which do.
USUAL_ERROR, FIT_ROUNDS = 0.05, 10
# A kind of layer with fewer samples gets no prices of its own.
FEWEST_SAMPLES = 6
# Shapes are left out in turn in so many parts.
PARTS = 5
# What a price costs that is twice the known one of this machine: in relative errors squared.
LOYALTY = 0.05
# What a price of another machine costs that is off by all of the time of a sample.
LOYALTY_TO_OTHERS = 0.03

Floats = NDArray[np.float64]

Kind = tuple[str, str]
"""An algorithm and a kind of layer, see ``cost.kind``."""

Loyalty = Callable[[Floats, Floats], Floats]
"""How strongly prices, scaled, are held where they were, by the shares of the times that they are.

The shares are (samples, prices), of prices of one.
"""


def loyal_to_own(before: Floats, shares: Floats) -> Floats:
    """Prices of this machine: relative changes count, and what is free stays free."""
    # A price of zero is held there by a row that outweighs all samples.
    return np.sqrt(LOYALTY) / np.maximum(before, 1e-9)


def loyal_to_others(before: Floats, shares: Floats) -> Floats:
    """Prices of another machine: what was small or free there may be most of the time here.

    Changes count by what they do to the sample where they matter most.
    """
    return np.sqrt(LOYALTY_TO_OTHERS) * np.maximum(shares.max(axis=0), 1e-9)


@dataclass(frozen=True)
class Sample:
    """Microseconds that an algorithm took for some work; samples of one ``shape`` are alike."""

    kind: Kind
    shape: str
    work: Work
    microseconds: float


def fit_kinds(samples: Sequence[Sample]) -> tuple[dict[str, dict[str, Rates]], list[float]]:
    """Prices by algorithm and kind, and the errors of all samples, a share of their time each.

    Errors are cross-validated: each sample is predicted by prices that saw no layer of its shape.
    """
    rates: dict[str, dict[str, Rates]] = {}
    errors: list[float] = []
    for (name, which), found in sorted(by_kind(samples).items()):
        if len(found) < FEWEST_SAMPLES:
            continue
        prices, _ = fit_samples(found)
        off = cross_validated(found)
        rates.setdefault(name, {})[which] = Rates(
            **dict(zip(FEATURES, prices, strict=True)),
            samples=len(found),
            median_error=float(np.median(off)),
            worst_error=float(np.max(off)),
        )
        errors += list(off)
    return rates, errors


def by_kind(samples: Sequence[Sample]) -> dict[Kind, list[Sample]]:
    found: dict[Kind, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.kind].append(sample)
    return found


def cross_validated(
    samples: Sequence[Sample], known: Rates | None = None, loyalty: Loyalty = loyal_to_own
) -> Floats:
    """The error of each sample under prices that were fitted to the other shapes."""
    part = {shape: i % PARTS for i, shape in enumerate(dict.fromkeys(s.shape for s in samples))}
    errors = np.zeros(len(samples))
    for left_out in set(part.values()):
        rest = [sample for sample in samples if part[sample.shape] != left_out]
        # One shape alone is held to known prices, else to itself.
        prices = (
            prices_of(known)
            if known and not rest
            else fit_samples(rest or samples, known, loyalty)[0]
        )
        for index, sample in enumerate(samples):
            if part[sample.shape] == left_out:
                predicted = float(np.dot(features(sample.work), prices))
                errors[index] = relative_error(predicted, sample.microseconds)
    return errors


def relative_error(predicted: float, measured: float) -> float:
    return abs(predicted - measured) / (measured + RESOLUTION)


def fit_samples(
    samples: Sequence[Sample], known: Rates | None = None, loyalty: Loyalty = loyal_to_own
) -> tuple[list[float], Floats]:
    counts, times = [features(s.work) for s in samples], [s.microseconds for s in samples]
    return fit(counts, times, prices_of(known) if known else None, loyalty)


def prices_of(rates: Rates) -> list[float]:
    """Prices in the order of ``features``."""
    return [getattr(rates, name) for name in FEATURES]


def fit(
    counts: Sequence[Sequence[float]],
    times: Sequence[float],
    known: Sequence[float] | None = None,
    loyalty: Loyalty = loyal_to_own,
) -> tuple[list[float], Floats]:
    """Prices of the columns of ``counts``, and the error of each row as a share of its time.

    Minimises the squares of the relative errors, and the magnitude of those beyond ``USUAL_ERROR``
    so that a disturbed timing does not count for more, with no price below zero.  Where prices are
    ``known``, the squares of their changes count as well, as ``loyalty`` says.
    """
    matrix, measured = np.array(counts, np.float64), np.array(times, np.float64)
    # Columns of one size keep the solver exact; an empty one costs nothing.
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-30)
    relative = 1 / (measured + RESOLUTION)
    shares, wanted = matrix / scale * relative[:, None], measured * relative
    before = np.zeros(len(scale)) if known is None else np.array(known) * scale
    held = np.zeros(len(scale)) if known is None else loyalty(before, shares)
    weights = np.ones(len(wanted))
    prices = errors = np.zeros(0)
    for _ in range(FIT_ROUNDS):
        prices: Floats = _optimize.nnls(
            np.vstack([shares * weights[:, None], np.diag(held)]),
            np.concatenate([wanted * weights, held * before]),
        )[0]
        errors = np.abs(shares @ prices - wanted)
        weights = 1 / np.sqrt(np.maximum(errors / USUAL_ERROR, 1.0))
    return [float(p) for p in prices / scale], errors


def fit_transfer(found: Sequence[tuple[float, float]]) -> Transfer:
    """Price of a pass over memory by its bytes; free where none was seen."""
    if not found:
        return Transfer(fixed=0.0, bytes=0.0)
    prices, _ = fit([(1.0, size / 1e6) for size, _ in found], [time for _, time in found])
    return Transfer(fixed=prices[0], bytes=prices[1])


def learned(
    rates: Mapping[str, Mapping[str, Rates]],
    samples: Sequence[Sample],
    loyalty: Loyalty = loyal_to_own,
) -> tuple[dict[str, dict[str, Rates]], list[float]]:
    """Known prices moved towards more samples, and the errors of these under prices without them.

    Each price stays near the known one where the samples say little of it; kinds without samples
    keep theirs.
    """
    errors: list[float] = []
    moved = {name: dict(kinds) for name, kinds in rates.items()}
    for (name, which), found in sorted(by_kind(samples).items()):
        kinds = rates.get(name)
        if not kinds:
            continue
        known = kinds.get(which) or max(kinds.values(), key=lambda r: r.samples)
        off = cross_validated(found, known, loyalty)
        prices, _ = fit_samples(found, known, loyalty)
        moved[name][which] = known.model_copy(
            update=dict(zip(FEATURES, prices, strict=True))
            | {
                "samples": known.samples + len(found),
                "median_error": float(np.median(off)),
                "worst_error": float(np.max(off)),
            }
        )
        errors += list(off)
    return moved, errors


def corrected(
    rates: Mapping[str, Mapping[str, Rates]], samples: Sequence[Sample]
) -> tuple[dict[str, dict[str, Rates]], list[float]]:
    """Prices of another machine, moved to a few samples of this one, and the errors of these.

    All prices of a kind are scaled alike, by the median of measured over predicted: of the samples
    of the kind, else of those of its algorithm, else of all.  Those of a kind with samples are then
    moved one by one, as far as ``loyal_to_others`` lets them; errors are no smaller than on the
    other machine.
    """
    ratios: dict[Kind, list[float]] = defaultdict(list)
    for sample in samples:
        known = rates.get(sample.kind[0], {}).get(sample.kind[1])
        if known and (predicted := priced(known, sample.work)) > 0:
            ratios[sample.kind].append(sample.microseconds / predicted)
    every = [ratio for found in ratios.values() for ratio in found]
    scaled: dict[str, dict[str, Rates]] = {}
    for name, kinds in rates.items():
        own = [ratio for kind, found in ratios.items() if kind[0] == name for ratio in found]
        for which, known in kinds.items():
            found = ratios.get((name, which)) or own or every
            factor = float(np.median(found)) if found else 1.0
            scaled.setdefault(name, {})[which] = scaled_rates(known, factor)
    seen = [sample for sample in samples if sample.kind in ratios]
    moved, errors = learned(scaled, seen, loyal_to_others)
    for name, which in ratios:
        before, after = rates[name][which], moved[name][which]
        worse = max(before.median_error, after.median_error)
        moved[name][which] = after.model_copy(update={"median_error": worse})
    return moved, errors


def revised(
    known: MachineProfile,
    rates: Mapping[str, Mapping[str, Rates]],
    errors: Sequence[float],
    *,
    threads: int,
    command: str,
) -> MachineProfile:
    """``known`` as a profile of this machine with other prices, and where they come from.

    ``errors`` are those of the samples that prices were moved to.
    """
    return known.model_copy(
        update={
            "cpu": cpu_name(),
            "threads": threads,
            "onnxruntime": onnxruntime.__version__,
            "date": date.today().isoformat(),
            "command": f"{command}, from {known.cpu} of {known.date}",
            "samples": len(errors),
            "median_error": float(np.median(errors)),
            "worst_error": float(np.max(errors)),
            "rates": rates,
        }
    )


def scaled_rates(rates: Rates, factor: float) -> Rates:
    """``rates`` times ``factor``."""
    return rates.model_copy(update={name: factor * getattr(rates, name) for name in FEATURES})
