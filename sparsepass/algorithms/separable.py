"""Spatially separable convolutions: a column of the kernel, then a row, under an error budget.

A column of a patch is looked at through r features, kx1 filters; a 1xk convolution computes the
outputs of k neighbours of them (Jaderberg et al., arXiv 1405.3866).  The features are those of a
singular value decomposition, (channels, rows) by (filters, columns), the closed form of Tai et al.
(arXiv 1511.06067), but in the metric of the input's second moments.  What follows is the
least-squares fit to the outputs: one decomposition gives the error of every rank.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.chains import (
    Part,
    chain_of,
    chain_work,
    factors_of,
    kept_mean,
    patches_in,
    ranks_below,
    refuse_shape,
    relative,
    single,
    worthwhile,
)
from sparsepass.algorithms.dense import DENSE
from sparsepass.algorithms.moments import refuse_patches
from sparsepass.algorithms.row import Algorithm, Factor, Option
from sparsepass.approximation import NestedFit, nested_fit, repeated, slice_features
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Statistic, Stats
from sparsepass.target import Target

__all__ = ["SEPARABLE"]

Doubles = NDArray[np.float64]


def separable_statistics(layer: Layer) -> frozenset[Statistic]:
    return frozenset() if refuse_layer(layer) else frozenset({"input moments"})


def refuse_layer(layer: Layer) -> str | None:
    if reason := refuse_shape(layer):
        return reason
    if len(layer.kernel) != 2 or min(layer.kernel) == 1:
        return "its kernel has no two axes"
    return None if possible_ranks(layer) else "no rank below the dense work"


def refuse_separable(layer: Layer, stats: Stats, target: Target) -> str | None:
    return refuse_layer(layer) or refuse_patches(layer, stats)


def separable_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    _, fit = decomposed(layer, stats)
    options: list[Option] = []
    for rank in possible_ranks(layer):
        chain = chain_of(layer, parts(layer, rank))
        error = relative(layer, stats, fit.energies[rank * layer.kernel[1]])
        options.append(Option(chain_work(chain), {"rank": rank}, error, chain))
    return worthwhile(options)


def pack_separable(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> tuple[Factor, ...]:
    rank = parameters["rank"]
    _, bias = approximate_separable(layer, stats, parameters)
    return factors_of(layer, parts(layer, rank), matrices(layer, stats, rank), bias)


def approximate_separable(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    columns, rows = matrices(layer, stats, parameters["rank"])
    weight = (rows @ repeated(columns, layer.kernel[1])).reshape(layer.weight.shape)
    return single(weight), kept_mean(layer, stats, weight)


def parts(layer: Layer, rank: int) -> tuple[Part, Part]:
    return Part(rank, axes=(0,)), Part(layer.filters, axes=(1,))


def possible_ranks(layer: Layer) -> range:
    """The ranks whose two convolutions do fewer multiply-adds than the dense one, ascending."""
    one = chain_work(chain_of(layer, parts(layer, 1))).macs
    most = min(layer.macs / one, 1 + layer.taps // layer.kernel[1])
    return ranks_below(min(layer.channels, layer.filters), most)


def matrices(layer: Layer, stats: Stats, rank: int) -> tuple[Doubles, Doubles]:
    """The features of a column, (rank, channels rows), and the filters, (filters, rank columns)."""
    columns, fit = decomposed(layer, stats)
    return columns[:rank], fit.map(rank * layer.kernel[1])


def decomposed(layer: Layer, stats: Stats) -> tuple[Doubles, NestedFit]:
    """All features that are offered, and the fit of the outputs to them."""
    return stats.once("separable", lambda: decompose(layer, stats))


def decompose(layer: Layer, stats: Stats) -> tuple[Doubles, NestedFit]:
    weight, moments = layer.weight.reshape(layer.filters, -1), patches_in(stats).covariance[0]
    most, width = max(possible_ranks(layer)), layer.kernel[1]
    columns = slice_features(weight, moments, width)[:most]
    return columns, nested_fit(weight, moments, repeated(columns, width))


SEPARABLE = Algorithm(
    "separable", "lossy", refuse_separable, separable_options, pack_separable,
    source="arXiv 1405.3866, arXiv 1511.06067", prices=DENSE.name,
    statistics=separable_statistics, approximate=approximate_separable,
)  # fmt: skip
