"""What rows of the selector say: how often predictions pick the best offer, and how they err."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rows import OfferRow, SelectorRow
from scipy.stats import spearmanr

__all__ = ["Errors", "Picks", "errors_by", "picks", "regrets"]

# A pick within this share of the best is as good as the best.
CLOSE = 0.05


@dataclass(frozen=True)
class Picks:
    """Over the layers with two or more measured offers.

    ``best`` is the share whose cheapest prediction is the fastest offer, ``close`` that where it
    takes at most 5 % longer; ``correlation`` is the mean rank correlation of predicted and measured
    times over the layers with three or more.
    """

    layers: int
    best: float
    close: float
    correlation: float


@dataclass(frozen=True)
class Errors:
    """Quantiles of the error of predictions, a share of the measured time."""

    offers: int
    median: float
    p90: float


def picks(rows: Iterable[SelectorRow]) -> Picks:
    """Judge the cheapest prediction of every layer by what was measured."""
    best, correlations = [], []
    for offers in layers_of(rows):
        predicted = np.array([offer.predicted_us for offer in offers])
        measured = np.array([offer.measured_us for offer in offers])
        best.append(measured[predicted.argmin()] / measured.min() - 1)
        if len(offers) > 2:
            correlations.append(float(spearmanr(predicted, measured).statistic))
    return Picks(
        layers=len(best),
        best=float(np.mean(np.equal(best, 0))),
        close=float(np.mean(np.less_equal(best, CLOSE))),
        correlation=float(np.mean(correlations)),
    )


def layers_of(rows: Iterable[SelectorRow]) -> list[list[OfferRow]]:
    """The offers of each layer that has two or more."""
    found = []
    for row in rows:
        by_layer = defaultdict(list)
        for offer in row.offers:
            by_layer[offer.layer].append(offer)
        found += [offers for offers in by_layer.values() if len(offers) > 1]
    return found


def errors_by(
    rows: Iterable[SelectorRow], key: Callable[[OfferRow], tuple[str, ...]]
) -> Mapping[tuple[str, ...], Errors]:
    """The errors of predictions in groups of offers, the largest groups first."""
    groups = defaultdict(list)
    for row in rows:
        for offer in row.offers:
            groups[key(offer)].append(abs(offer.predicted_us / offer.measured_us - 1))
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return {name: errors_of(found) for name, found in ordered}


def errors_of(found: Sequence[float]) -> Errors:
    median, p90 = np.quantile(found, (0.5, 0.9))
    return Errors(len(found), float(median), float(p90))


def regrets(row: SelectorRow) -> dict[str, float]:
    """The median time of each plan of a network over the least one, less one."""
    best = min(plan.median_ms for plan in row.plans)
    return {plan.method: plan.median_ms / best - 1 for plan in row.plans}
