"""Low-rank factorization: a chain of plain convolutions, under an error budget.

The factors are chosen by what the outputs do on samples.  With y = W x + b over all output
positions, mean m and covariance C = U diag(lambda) U^T, the best affine function of rank r of x is
y' = m + U_r U_r^T (y - m): a convolution with the filters U_r^T W, then a 1x1 convolution with the
filters U_r and the bias m + U_r U_r^T (b - m).  The mean square error is the sum of the eigenvalues
that are left out, so that one decomposition prices all ranks (response reconstruction without the
non-linearity, Zhang et al., arXiv 1505.06798).
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.chains import (
    Part,
    chain_of,
    chain_work,
    factors_of,
    ranks_below,
    single,
)
from sparsepass.algorithms.dense import DENSE
from sparsepass.algorithms.row import Algorithm, Factor, Option
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Moments, Statistic, Stats
from sparsepass.target import Target

__all__ = ["LOW_RANK", "merged", "output_factors", "parts", "possible_ranks", "rank_options"]


def low_rank_statistics(layer: Layer) -> frozenset[Statistic]:
    ranked = layer.op_type == "Conv" and layer.groups == 1 and bool(possible_ranks(layer))
    return frozenset({"output moments"}) if ranked else frozenset()


def refuse_low_rank(layer: Layer, stats: Stats, target: Target) -> str | None:
    if layer.op_type != "Conv":
        return "not a convolution"
    if layer.groups > 1:
        return "grouped convolution"
    if stats.output is None:
        return "lossy: needs --max-error and --samples"
    if not rank_options(layer, stats.output):
        return "no rank below the dense work"
    return None


def low_rank_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    assert stats.output is not None
    chains = {rank: chain_of(layer, parts(layer, rank)) for rank in possible_ranks(layer)}
    return tuple(
        Option(chain_work(chains[rank]), {"rank": rank}, error, chains[rank])
        for rank, error in rank_options(layer, stats.output)
    )


def parts(layer: Layer, rank: int) -> tuple[Part, Part]:
    """The kernel with ``rank`` filters, then a 1x1 convolution."""
    return Part(rank, axes=tuple(range(len(layer.kernel)))), Part(layer.filters)


def pack_low_rank(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> tuple[Factor, ...]:
    assert stats.output is not None
    rank = parameters["rank"]
    first, second, bias = output_factors(layer, stats.output, rank)
    return factors_of(layer, parts(layer, rank), (first, second), bias)


def possible_ranks(layer: Layer) -> range:
    """The ranks whose two convolutions do fewer multiply-adds than the dense one, ascending."""
    # rank (taps + filters) < filters taps
    most = layer.filters * layer.taps / (layer.filters + layer.taps)
    return ranks_below(layer.filters, most)


def rank_options(layer: Layer, moments: Moments) -> tuple[tuple[int, float], ...]:
    """Each possible rank with the expected relative error of the layer's output.

    The error is the root of the lost over the whole mean square of the output before the epilogue.
    It is measured on the samples that chose the basis and so is a little too small: by a tenth with
    about thirty positions per filter, by a third with five.  Ranks that reach the number of
    positions are not offered.
    """
    energy = moments.energy
    if not energy > 0:
        return ()
    lost = np.append(np.cumsum(moments.spectrum.values[::-1])[::-1], 0.0)
    return tuple(
        (rank, math.sqrt(float(lost[rank]) / energy))
        for rank in possible_ranks(layer)
        if rank < moments.positions
    )


def output_factors(layer: Layer, moments: Moments, rank: int) -> tuple[Array, Array, Array]:
    """Weights and bias of the two convolutions of rank ``rank``, for a layer without groups.

    Returns the first weight (rank, channels, *kernel), whose bias is zero, the second weight
    (filters, rank, 1, ...) and its bias (filters,).  ``moments`` are of the output with its bias.
    """
    basis = moments.spectrum.vectors[:, :rank]
    rows = layer.weight.reshape(layer.filters, -1).astype(np.float64)
    first = (basis.T @ rows).reshape(rank, *layer.weight.shape[1:])
    second = basis.reshape(layer.filters, rank, *[1] * len(layer.kernel))
    return single(first), single(second), single(projected_bias(layer, moments, basis))


def merged(layer: Layer, moments: Moments, rank: int) -> tuple[Array, Array]:
    """The weight and bias of one dense convolution that computes what the factors compute."""
    basis = moments.spectrum.vectors[:, :rank]
    rows = layer.weight.reshape(layer.filters, -1).astype(np.float64)
    weight = (basis @ (basis.T @ rows)).reshape(layer.weight.shape)
    return single(weight), single(projected_bias(layer, moments, basis))


def projected_bias(
    layer: Layer, moments: Moments, basis: NDArray[np.float64]
) -> NDArray[np.float64]:
    return moments.mean + basis @ (basis.T @ (layer.bias - moments.mean))


def approximate_low_rank(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    assert stats.output is not None
    return merged(layer, stats.output, parameters["rank"])


LOW_RANK = Algorithm(
    "low-rank", "lossy", refuse_low_rank, low_rank_options, pack_low_rank,
    source="arXiv 1505.06798", prices=DENSE.name,
    statistics=low_rank_statistics, approximate=approximate_low_rank,
)  # fmt: skip
