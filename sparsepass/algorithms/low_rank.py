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
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.dense import DENSE
from sparsepass.algorithms.row import Algorithm, Factor, Option, Work
from sparsepass.algorithms.work import read_bytes
from sparsepass.layer import Array, Epilogue, Layer
from sparsepass.sparsity import Moments, Statistic, Stats
from sparsepass.target import Target

__all__ = ["LOW_RANK", "merged", "output_factors", "possible_ranks", "rank_options"]

# ONNX Runtime's blocked layout works in blocks of 8 or 16 channels; a rank between them pays for
# the whole block.  Above WIDE filters steps of 8 change the work by less than a tenth.
BLOCK = 8
WIDE = 128


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
    return tuple(
        Option(low_rank_work(layer, rank), {"rank": rank}, error, low_rank_chain(layer, rank))
        for rank, error in rank_options(layer, stats.output)
    )


def low_rank_work(layer: Layer, rank: int) -> Work:
    between = 4 * layer.batch * layer.pixels * rank
    return Work(
        macs=layer.batch * layer.pixels * rank * (layer.taps + layer.filters),
        input_bytes=read_bytes(layer) + between,
        output_bytes=4 * layer.output_size + between,
        weight_bytes=4 * rank * (layer.taps + layer.filters),
        nodes=2,
    )


def low_rank_chain(layer: Layer, rank: int) -> tuple[Layer, Layer]:
    """The two dense layers of rank ``rank``, with weights that are shapes without memory."""
    axes = len(layer.kernel)
    zero: Array = np.zeros((), np.float32)
    first = replace(
        layer,
        weight=np.broadcast_to(zero, (rank, *layer.weight.shape[1:])),
        bias=np.zeros(rank, np.float32),
        epilogue=Epilogue(),
    )
    second = replace(
        layer,
        kernel=(1,) * axes, strides=(1,) * axes, dilations=(1,) * axes, pads=(0,) * 2 * axes,
        input_spatial=layer.output_spatial,
        weight=np.broadcast_to(zero, (layer.filters, rank, *[1] * axes)),
    )  # fmt: skip
    return first, second


def pack_low_rank(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> tuple[Factor, ...]:
    assert stats.output is not None
    first, second, bias = output_factors(layer, stats.output, parameters["rank"])
    return (
        Factor(first, np.zeros(len(first), np.float32), spatial=True),
        Factor(second, bias, spatial=False),
    )


def possible_ranks(layer: Layer) -> range:
    """The ranks whose two convolutions do fewer multiply-adds than the dense one, ascending."""
    step = 2 * BLOCK if layer.filters >= WIDE else BLOCK
    # rank (taps + filters) < filters taps
    below = math.ceil(layer.filters * layer.taps / (layer.filters + layer.taps))
    return range(step, below, step)


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


def single(values: NDArray[np.float64]) -> Array:
    return np.ascontiguousarray(values, np.float32)


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
