"""Few levels for many weights: a scale for each row, and levels shared by all rows.

A weight w of row r becomes scales[r] levels[code].  Levels of 8 bits are evenly spaced; of 4 bits
they are where the weights are, by Lloyd's algorithm.  Scales are least-squares fits to the weights
that are not zero: zeros cost nothing in sparse forms, and would draw the scale to themselves.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Levels", "find_levels"]

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Clips that are tried, as shares of the largest weight of a row.
CLIPS = np.linspace(0.4, 1.0, 25)
# Codebooks take so many rounds on at most so many weights.
ROUNDS = 25
MOST_WEIGHTS = 200_000


@dataclass(frozen=True)
class Levels:
    """``levels`` ascending, and ``scales`` of rows."""

    scales: Doubles
    levels: Doubles

    def codes(self, weight: Floats) -> NDArray[np.intp]:
        """The nearest level of each weight, (rows, any)."""
        return nearest(weight / self.scales[:, None], self.levels)

    def values(self, codes: NDArray[np.integer[Any]]) -> Doubles:
        """What codes stand for."""
        return self.scales[:, None] * self.levels[codes]


def find_levels(weight: Floats, bits: int, importance: Floats) -> Levels:
    """Levels of 8 or 4 bits for ``weight``, (rows, taps), of which zeros do not count.

    ``importance``, (rows or 1, taps), weighs the squares of errors: mean squares of the inputs.
    """
    counted = (weight != 0) * np.maximum(importance, 0.0)
    # A tap that is always zero still counts a little: its scale has to be something.
    counted = counted + (weight != 0) * (1e-9 * (counted.max(initial=0.0) or 1.0))
    if bits == 8:
        levels = np.arange(-127.0, 128.0)
        return Levels(clipped_scales(weight, counted, levels), levels)
    return codebook(weight, counted, 2**bits, has_zeros=bool(np.any(weight == 0)))


def clipped_scales(weight: Floats, counted: Floats, levels: Doubles) -> Doubles:
    """The scale of each row, of several clips the one of least weighted squares."""
    largest = np.abs(weight).max(axis=1, initial=0.0).astype(np.float64)
    best = np.full(len(weight), np.inf)
    scales = np.ones(len(weight))
    for clip in CLIPS:
        tried = np.where(largest > 0, clip * largest / levels[-1], 1.0)
        units = weight / tried[:, None]
        # Levels are all whole numbers from one end to the other.
        change = np.clip(np.rint(units), levels[0], levels[-1]) - units
        lost = (counted * change**2).sum(axis=1) * tried**2
        better = lost < best
        best, scales = np.where(better, lost, best), np.where(better, tried, scales)
    return scales


def codebook(weight: Floats, counted: Floats, count: int, *, has_zeros: bool) -> Levels:
    """Levels and scales in turn: each is the least-squares fit for the other."""
    size = counted.sum(axis=1)
    scales = np.sqrt((counted * weight**2).sum(axis=1) / np.where(size > 0, size, 1.0))
    scales = np.where(scales > 0, scales, 1.0)
    rows, taps = some(np.nonzero(weight))
    if not len(rows):
        return Levels(scales, np.zeros(count))
    wanted = count - has_zeros
    levels = np.quantile(weight[rows, taps] / scales[rows], (np.arange(wanted) + 0.5) / wanted)
    for _ in range(ROUNDS):
        values = weight[rows, taps] / scales[rows]
        weights = counted[rows, taps] * scales[rows] ** 2
        codes = nearest(values, levels)
        sums = np.bincount(codes, weights * values, wanted)
        sizes = np.bincount(codes, weights, wanted)
        levels = np.sort(np.where(sizes > 0, sums / np.where(sizes > 0, sizes, 1.0), levels))
        scales = fitted_scales(weight, counted, Levels(scales, levels))
    return Levels(scales, np.sort(np.append(levels, 0.0)) if has_zeros else levels)


def fitted_scales(weight: Floats, counted: Floats, found: Levels) -> Doubles:
    units = found.levels[found.codes(weight)]
    across, along = (counted * weight * units).sum(axis=1), (counted * units**2).sum(axis=1)
    good = (across > 0) & (along > 0)
    return np.where(good, across / np.where(good, along, 1.0), found.scales)


def some(places: tuple[NDArray[np.intp], ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """At most ``MOST_WEIGHTS`` of the places, evenly taken."""
    rows, taps = places
    step = max(1, -(-len(rows) // MOST_WEIGHTS))
    return rows[::step], taps[::step]


def nearest(values: Floats, levels: Doubles) -> NDArray[np.intp]:
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
