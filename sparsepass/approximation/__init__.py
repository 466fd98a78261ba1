"""Weights changed so that outputs change least: arrays in, arrays out, no graph and no layers.

``weight`` is (rows, taps), ``moments`` (taps, taps) are E x x^T of what a row reads, centred where
an intercept is fitted besides.
"""

from sparsepass.approximation.refit import lost, refit
from sparsepass.approximation.repair import repaired
from sparsepass.approximation.supports import Supports, find_supports

__all__ = ["Supports", "find_supports", "lost", "refit", "repaired"]
