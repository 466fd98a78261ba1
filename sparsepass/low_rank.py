"""Low-rank factors of a convolution, chosen by what its outputs do on samples.

With y = W x + b over all output positions, mean m and covariance C = U diag(lambda) U^T, the best
affine map of rank r from x is y' = m + U_r U_r^T (y - m): a convolution with the filters U_r^T W,
then a 1x1 convolution with the filters U_r and the bias m + U_r U_r^T (b - m).  The mean square
error is the sum of the eigenvalues that are left out, so that one decomposition prices all ranks
(response reconstruction without the non-linearity, Zhang et al., arXiv 1505.06798).
"""

import math

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Moments

__all__ = ["candidate_ranks", "merged", "output_factors", "rank_options"]

# ONNX Runtime's blocked layout works in blocks of 8 or 16 channels; a rank between them pays for
# the whole block.  Above WIDE filters steps of 8 change the work by less than a tenth.
BLOCK = 8
WIDE = 128


def candidate_ranks(layer: Layer) -> range:
    """The ranks whose two convolutions do fewer multiply-adds than the dense one, ascending."""
    step = 2 * BLOCK if layer.filters >= WIDE else BLOCK
    # rank (taps + filters) < filters taps
    below = math.ceil(layer.filters * layer.taps / (layer.filters + layer.taps))
    return range(step, below, step)


def rank_options(layer: Layer, moments: Moments) -> tuple[tuple[int, float], ...]:
    """Each candidate rank with the expected relative error of the layer's output.

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
        for rank in candidate_ranks(layer)
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
