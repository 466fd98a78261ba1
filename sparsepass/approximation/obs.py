"""Optimal brain surgeon: weights removed one by one, the others corrected each time.

A row w of a weight costs E (w' x - w x)^2 = (w' - w)^T C (w' - w) when it becomes w', with C the
second moments of what it reads.  Of all weights of the row, removing p and correcting the others
costs w_p^2 / [C^-1]_pp; the cheapest goes, and so on until none is left (Optimal Brain Compression,
arXiv 2208.11580).  One run gives what every density costs.

The inverse of each row is its own.  A removal takes a rank-1 term from it; the terms wait until
there are ``DELAYED`` of them and go as one symmetric product, so that this takes about d^3 / 4
multiply-adds a row at the speed of such products.  Only the lower triangle is kept up.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from sparsepass.approximation.one_thread import one_thread

_blas = cast(Any, blas)  # its types are partial

__all__ = ["Trace", "removals", "trace_bytes"]

Floats = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
Indices = NDArray[np.intp]

# Rounding may leave a variance of zero or less; it is more.
LEAST = np.finfo(np.float32).tiny

DELAYED = 32
# Inverses are copied without what was removed when no more than this share of them is left: a copy
# takes as long as many products.
SHRUNK = 0.75
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
    with one_thread():
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
    gone = np.zeros(weight.shape, np.bool_)
    for first in range(0, taps, DELAYED):
        part = slice(first, first + DELAYED)
        terms = remove_some(weight, inverses, left, gone, order[:, part], costs[:, part])
        for own, term in zip(inverses, terms, strict=True):
            _blas.ssyrk(-1.0, term.T, beta=1.0, c=own.T, overwrite_c=True)
        rest = taps - first - terms.shape[1]
        if rest > SHRUNK * left.shape[1]:
            continue
        kept = np.nonzero(~gone)[1].reshape(rows, rest)
        weight = np.take_along_axis(weight, kept, axis=1)
        left = np.take_along_axis(left, kept, axis=1)
        inverses = shrunk(inverses, kept)
        gone = np.zeros(weight.shape, np.bool_)


def shrunk(inverses: Singles, kept: Indices) -> Singles:
    """The rows and columns of each inverse that are ``kept``."""
    found = np.empty((*kept.shape, kept.shape[1]), np.float32)
    for row, chosen in enumerate(kept):
        found[row] = inverses[row][chosen][:, chosen]
    return found


def remove_some(
    weight: Singles,
    inverses: Singles,
    left: Indices,
    gone: NDArray[np.bool_],
    order: Indices,
    costs: Singles,
) -> Singles:
    """Remove a weight of each row for every column of ``order``, correcting ``weight`` in place.

    ``left`` are the taps that the columns of ``weight`` and ``inverses`` stand for, ``gone`` those
    that were removed.  Returns the terms that the inverses are too large by, (rows, removals,
    columns).
    """
    steps = order.shape[1]
    every, places = (np.arange(count, dtype=np.intp) for count in weight.shape)
    variances = np.maximum(np.diagonal(inverses, axis1=1, axis2=2), LEAST)
    terms = np.zeros((len(weight), steps, weight.shape[1]), np.float32)
    for step in range(steps):
        scores = np.where(gone, np.inf, weight**2 / variances)
        at = np.argmin(scores, axis=1)
        costs[:, step], order[:, step] = scores[every, at], left[every, at]
        before = terms[:, :step]
        column = np.where(places <= at[:, None], inverses[every, at], inverses[every, :, at])
        column -= (before[every, :, at][:, None] @ before)[:, 0]
        pivot = np.maximum(column[every, at], LEAST)[:, None]
        weight -= weight[every, at][:, None] / pivot * column
        terms[:, step] = column / np.sqrt(pivot)
        variances = np.maximum(variances - terms[:, step] ** 2, LEAST)
        gone[every, at] = True
    return terms
