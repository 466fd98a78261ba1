"""Rounding weights so that outputs change least: the errors of some are made good by others.

Columns of a weight W are rounded one by one; what a column lost of the outputs W x is given to the
columns that are not rounded yet, as far as their inputs go along with its own: with the Cholesky
factor of the inverse of the inputs' second moments (GPTQ, arXiv 2210.17323).  Columns whose inputs
vary most come first, while there are many to make good.  Then each column is rounded again, given
all others, a few times over (coordinate descent, QuantEase, arXiv 2309.01885).
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from sparsepass.approximation.levels import Levels
from sparsepass.approximation.moments import damped

_linalg = cast(Any, linalg)  # its types are partial

__all__ = ["rounded"]

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Codes = NDArray[np.intp]

# Columns whose corrections are applied to all others as one matrix product.
BLOCK = 64
# How often all columns are rounded again; the gain of a round is a third of the one before.
ROUNDS = 4


def rounded(levels: Levels, weight: Floats, moments: Floats) -> tuple[Levels, Codes]:
    """The code of each weight, (rows, taps), and the scales that fit these codes best.

    ``moments`` are the (taps, taps) second moments of the inputs, centred where the bias is fitted
    besides.  Zeros stay zeros and correct nothing; their codes are those of the nearest level.
    """
    steady = damped(moments)
    codes = rounded_to(levels, weight.astype(np.float64), steady)
    levels = refitted(levels, codes, weight, steady)
    for _ in range(ROUNDS):
        round_again(levels, weight, steady, codes)
        levels = refitted(levels, codes, weight, steady)
    return levels, codes


def rounded_to(levels: Levels, weight: Doubles, moments: Doubles) -> Codes:
    order = np.argsort(-np.diagonal(moments), kind="stable")
    factor = factor_of_inverse(moments[np.ix_(order, order)])
    left, kept = weight[:, order], weight[:, order] != 0
    codes = np.empty(left.shape, np.intp)
    for first in range(0, left.shape[1], BLOCK):
        part = slice(first, first + BLOCK)
        lost = round_block(levels, left[:, part], kept[:, part], factor[part, part], codes[:, part])
        left[:, first + BLOCK :] -= kept[:, first + BLOCK :] * (
            lost @ factor[part, first + BLOCK :]
        )
    found = np.empty_like(codes)
    found[:, order] = codes
    return found


def factor_of_inverse(moments: Doubles) -> Doubles:
    """The upper Cholesky factor of the inverse, from that of the moments back to front."""
    lower = np.linalg.cholesky(moments[::-1, ::-1])
    inverse = _linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return np.asarray(inverse[::-1, ::-1], np.float64)


def round_block(
    levels: Levels, left: Doubles, kept: NDArray[np.bool_], factor: Floats, codes: Codes
) -> Doubles:
    """Fill in ``codes`` of a few columns; returns what each lost, in units of its factor."""
    lost = np.zeros_like(left)
    for column in range(left.shape[1]):
        value = left[:, column : column + 1]
        codes[:, column] = levels.codes(value)[:, 0]
        change = kept[:, column] * (value - levels.values(codes[:, column : column + 1]))[:, 0]
        lost[:, column] = change / factor[column, column]
        later = slice(column + 1, None)
        left[:, later] -= kept[:, later] * np.outer(lost[:, column], factor[column, later])
    return lost


def round_again(levels: Levels, weight: Floats, moments: Doubles, codes: Codes) -> None:
    """Give each column the best ``codes`` that it can have with those of all others."""
    values, kept = np.where(weight != 0, levels.values(codes), 0.0), weight != 0
    slopes = (weight - values) @ moments
    for first in range(0, weight.shape[1], BLOCK):
        part = slice(first, first + BLOCK)
        own, square = slopes[:, part].copy(), moments[part, part]
        changes = np.zeros_like(own)
        for column in range(own.shape[1]):
            at = first + column
            wanted = values[:, at] + own[:, column] / square[column, column]
            best = levels.codes(wanted[:, None])[:, 0]
            codes[:, at] = np.where(kept[:, at], best, codes[:, at])
            found = kept[:, at] * levels.values(codes[:, at : at + 1])[:, 0]
            changes[:, column] = found - values[:, at]
            own -= np.outer(changes[:, column], square[column])
        slopes -= changes @ moments[part]


def refitted(levels: Levels, codes: Codes, weight: Floats, moments: Doubles) -> Levels:
    """The scales of least mean square error of the outputs for these codes."""
    units = np.where(weight != 0, levels.levels[codes], 0.0)
    images = units @ moments
    across, along = (images * weight).sum(axis=1), (images * units).sum(axis=1)
    good = (across > 0) & (along > 0)
    return Levels(np.where(good, across / np.where(good, along, 1.0), levels.scales), levels.levels)
