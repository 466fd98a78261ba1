"""Weights changed so that outputs change least: arrays in, arrays out, no graph and no layers.

``weight`` is (rows, taps), ``moments`` (taps, taps) are E x x^T of what a row reads, centred where
an intercept is fitted besides.
"""

from sparsepass.approximation.blocks import BLOCK, find_blocks
from sparsepass.approximation.features import (
    NestedFit,
    leading_features,
    nested_fit,
    repeated,
    slice_features,
)
from sparsepass.approximation.levels import Levels, find_levels
from sparsepass.approximation.low_rank_sparse import (
    LowRankSparse,
    find_low_rank_sparse,
    rank_costs,
)
from sparsepass.approximation.refit import lost, refit
from sparsepass.approximation.repair import repaired
from sparsepass.approximation.rounding import rounded
from sparsepass.approximation.series import Series, find_series, series_terms
from sparsepass.approximation.supports import Supports, find_supports

__all__ = [
    "BLOCK", "Levels", "LowRankSparse", "NestedFit", "Series", "Supports", "find_blocks",
    "find_levels", "find_low_rank_sparse", "find_series", "find_supports", "leading_features",
    "lost", "nested_fit", "rank_costs", "refit", "repaired", "repeated", "rounded", "series_terms",
    "slice_features",
]  # fmt: skip
