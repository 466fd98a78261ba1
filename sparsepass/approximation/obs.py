"""Optimal brain surgeon: weights removed one by one, the others corrected each time.

A row w of a weight costs E (w' x - w x)^2 = (w' - w)^T C (w' - w) when it becomes w', with C the
second moments of what it reads.  Of all weights of the row, removing p and correcting the others
costs w_p^2 / [C^-1]_pp; the cheapest goes, and so on until none is left (Optimal Brain Compression,
arXiv 2208.11580).  One run gives what every density costs.

The inverse of each row is its own.  A removal takes a rank-1 term from it; the terms wait until
there are ``DELAYED`` of them and go as one matrix product, so that this takes d^3 / 3 multiply-adds
a row at the speed of such products.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Trace", "removals", "trace_bytes"]

Floats = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
Indices = NDArray[np.intp]

# Rounding may leave a variance of zero or less; it is more.
LEAST = np.finfo(np.float32).tiny

DELAYED = 32
# Bytes of inverses that are held at once: as many rows are looked at together.
HELD = 128_000_000


@dataclass(frozen=True)
class Trace:
    """Weights of each row in the order of their removal, and what each removal costs.

    Both are (rows, taps); ``costs`` are mean squares of the output.
    """

    order: Indices
    costs: Singles


def removals(weight: Floats, moments: Floats) -> Trace:
    """Remove all weights, (rows, taps), one by one; ``moments`` are (taps, taps), not singular."""
    rows, taps = weight.shape
    inverse = np.linalg.inv(moments.astype(np.float64)).astype(np.float32)
    order = np.empty((rows, taps), np.intp)
    costs = np.empty((rows, taps), np.float32)
    together = max(1, HELD // trace_bytes(taps))
    for first in range(0, rows, together):
        part = slice(first, first + together)
        remove_all(weight[part].astype(np.float32), inverse, order[part], costs[part])
    return Trace(order, costs)


def trace_bytes(taps: int) -> int:
    """What the removals of one row hold."""
    return 4 * taps * (taps + DELAYED)


def remove_all(weight: Singles, inverse: Singles, order: Indices, costs: Singles) -> None:
    """Fill in ``order`` and ``costs`` of a few rows."""
    rows, taps = weight.shape
    left = np.tile(np.arange(taps, dtype=np.intp), (rows, 1))
    inverses = np.tile(inverse, (rows, 1, 1))
    for first in range(0, taps, DELAYED):
        part = slice(first, first + DELAYED)
        terms, gone = remove_some(weight, inverses, left, order[:, part], costs[:, part])
        kept = np.nonzero(~gone)[1].reshape(rows, -1)
        weight = np.take_along_axis(weight, kept, axis=1)
        left = np.take_along_axis(left, kept, axis=1)
        terms = np.take_along_axis(terms, kept[:, None], axis=2)
        every = np.arange(rows, dtype=np.intp)[:, None, None]
        inverses = inverses[every, kept[:, :, None], kept[:, None]]
        inverses -= terms.swapaxes(1, 2) @ terms


def remove_some(
    weight: Singles, inverses: Singles, left: Indices, order: Indices, costs: Singles
) -> tuple[Singles, NDArray[np.bool_]]:
    """Remove a weight of each row for every column of ``order``, correcting ``weight`` in place.

    ``left`` are the taps that the columns of ``weight`` and ``inverses`` stand for.  Returns the
    terms that the inverses are too large by, (rows, removals, columns), and what was removed.
    """
    steps = order.shape[1]
    every = np.arange(len(weight), dtype=np.intp)
    variances = np.diagonal(inverses, axis1=1, axis2=2).copy()
    terms = np.zeros((len(weight), steps, weight.shape[1]), np.float32)
    gone = np.zeros(weight.shape, np.bool_)
    for step in range(steps):
        scores = np.where(gone, np.inf, weight**2 / variances)
        at = np.argmin(scores, axis=1)
        costs[:, step], order[:, step] = scores[every, at], left[every, at]
        before = terms[:, :step]
        column = inverses[every, at] - (before[every, :, at][:, None] @ before)[:, 0]
        pivot = np.maximum(column[every, at], LEAST)[:, None]
        weight -= weight[every, at][:, None] / pivot * column
        terms[:, step] = column / np.sqrt(pivot)
        variances = np.maximum(variances - terms[:, step] ** 2, LEAST)
        gone[every, at] = True
    return terms, gone
