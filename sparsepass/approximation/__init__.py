"""Weights changed so that outputs change least: arrays in, arrays out, no graph and no layers.

``weight`` is (rows, taps), ``moments`` (taps, taps) are E x x^T of what a row reads, centred where
an intercept is fitted besides.
"""

from sparsepass.approximation.refit import lost, refit
from sparsepass.approximation.repair import repaired
from sparsepass.approximation.series import Series, find_series, series_terms
from sparsepass.approximation.supports import Supports, find_supports

__all__ = [
    "Series", "Supports", "find_series", "find_supports", "lost", "refit", "repaired",
    "series_terms",
]  # fmt: skip
