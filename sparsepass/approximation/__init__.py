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

__all__ = ["NestedFit", "leading_features", "nested_fit", "repeated", "slice_features"]
