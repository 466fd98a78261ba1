"""Weights changed so that outputs change least: arrays in, arrays out, no graph and no layers.

``weight`` is (rows, taps), ``moments`` (taps, taps) are E x x^T of what a row reads, centred where
an intercept is fitted besides.
"""

from sparsepass.approximation.features import (
    NestedFit,
    leading_features,
    nested_fit,
    repeated,
    slice_features,
)
from sparsepass.approximation.refit import lost, refit
from sparsepass.approximation.supports import Supports, find_supports

__all__ = [
    "NestedFit", "Supports", "find_supports", "leading_features", "lost", "nested_fit", "refit",
    "repeated", "slice_features",
]  # fmt: skip
