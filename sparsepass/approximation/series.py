"""Series of N:M terms: a weight as a sum of weights with N of every M neighbours.

Neighbours are input channels of one filter and tap, in aligned blocks of M; a short last block
counts as padded with zeros.  Terms are taken greedily: the first has the N largest weights of each
of its blocks, the next those of what is left (TASD, arXiv 2403.07953).  With M ascending, each
block one of a larger one, no other choice keeps a larger sum of squares: it is the projection on
the weights of the series, so that a search by the outputs (``admm``) can keep to them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation.admm import searched
from sparsepass.approximation.moments import damped
from sparsepass.approximation.supports import Supports, priced_supports

__all__ = ["Series", "find_series", "series_terms"]

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Series = tuple[tuple[int, int], ...]
"""Pairs N, M, with M not descending."""


def find_series(
    weight: Floats, moments: Floats, channels: int, every: Sequence[Series]
) -> Supports:
    """The supports of each series of ``every``; taps of a row are ``channels`` times a kernel.

    The moments are decomposed once for all of them.
    """
    steady = damped(moments)
    projections = [partial(projected, channels=channels, series=series) for series in every]
    return priced_supports(weight, steady, searched(weight, steady, projections))


def projected(weight: Floats, channels: int, series: Series) -> NDArray[np.float32]:
    """The nearest weight of the series; ``weight`` is (rows, taps)."""
    kept = sum(term_masks(weight, channels, series), np.zeros(weight.shape, np.bool_))
    return np.where(kept, weight, 0).astype(np.float32)


def series_terms(weight: Floats, channels: int, series: Series) -> tuple[Floats, ...]:
    """The terms of a weight (rows, taps), one for each pair; what none of them takes is left out.

    No two terms have a non-zero in one place, so that they add up without rounding.
    """
    zero = weight.dtype.type(0)
    return tuple(np.where(mask, weight, zero) for mask in term_masks(weight, channels, series))


def term_masks(weight: Floats, channels: int, series: Series) -> list[Mask]:
    """Where each term has its non-zeros."""
    rows = len(weight)
    left = np.abs(weight).reshape(rows, channels, -1).swapaxes(1, 2).copy()
    masks: list[Mask] = []
    for count, size in series:
        taken = largest(left, count, size)
        left[taken] = 0
        masks.append(taken.swapaxes(1, 2).reshape(weight.shape))
    return masks


def largest(sizes: Floats, count: int, block: int) -> Mask:
    """The ``count`` largest of each ``block`` along the last axis, of those that are not zero."""
    channels = sizes.shape[-1]
    padded = np.pad(sizes, ((0, 0), (0, 0), (0, -channels % block)))
    blocks = padded.reshape(*padded.shape[:2], -1, block)
    mask = np.zeros(blocks.shape, np.bool_)
    first = np.argpartition(-blocks, min(count, block) - 1, axis=-1)[..., :count]
    np.put_along_axis(mask, first, values=True, axis=-1)
    mask &= blocks > 0
    return mask.reshape(padded.shape)[..., :channels]
