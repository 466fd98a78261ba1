"""Small values of a layer's input become zero, for kernels that skip zeros: what is common to that.

What the layer loses on average goes to its bias.  The error is measured on patches that samples
have drawn.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from sparsepass.algorithms.activation_sparse import CPO
from sparsepass.algorithms.row import Cut, Option, Packed, Work
from sparsepass.algorithms.work import dense_pack
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["Loss", "drawn_of", "found_loss", "option_with", "pack_with", "pays", "with_zeros"]


@dataclass(frozen=True)
class Loss:
    """The relative error of the output that a cut causes, and the bias that it wants."""

    error: float
    bias: Array


def found_loss(layer: Layer, stats: Stats, removed: Array) -> Loss:
    """What the layer loses with ``removed``, the values that become zero of what is drawn."""
    assert stats.patches is not None
    rows = layer.weight.reshape(layer.groups, -1, layer.taps)
    lost = (rows @ removed).reshape(layer.filters, -1)
    mean = lost.mean(axis=1, dtype=np.float64)
    left = np.square(lost - mean[:, None], dtype=np.float64).sum() / lost.shape[1]
    energy = stats.patches.output_energy(layer.weight, layer.bias)
    return Loss(math.sqrt(left / energy), (layer.bias + mean).astype(np.float32))


def drawn_of(stats: Stats) -> Array:
    """Some of the patches that the layer reads, (groups, taps, positions)."""
    assert stats.patches is not None
    assert stats.patches.drawn is not None
    return stats.patches.drawn


def with_zeros(stats: Stats, zeros: float) -> Stats:
    """The statistics with that share of zeros in the input; images differ as they did before."""
    found = stats.input
    assert found is not None
    left = (1 - zeros) / (1 - found.zeros_mean)
    low, high = (min(1.0, 1 - left * (1 - share)) for share in (found.zeros_p10, found.zeros_p90))
    changed = replace(found, zeros_mean=zeros, zeros_p10=max(low, 0.0), zeros_p90=high)
    return replace(stats, input=changed)


def pays(layer: Layer, left: Stats, target: Target) -> bool:
    """Whether it pays to encode an input of the zeros in ``left``."""
    return CPO.refuse(layer, left, target) is None


def option_with(
    layer: Layer, left: Stats, target: Target, parameters: dict[str, int], error: float
) -> Option:
    """A setting that leaves an input of the zeros in ``left``."""
    work = CPO.options(layer, left, target)[0].work
    return Option(with_pass(work, layer, target), parameters, error)


def with_pass(work: Work, layer: Layer, target: Target) -> Work:
    """A cut reads and writes the input once more."""
    return replace(
        work,
        nodes=work.nodes + 1,
        moves=work.moves + 2 * layer.input_size / target.lanes,
        input_bytes=work.input_bytes + 4 * layer.input_size,
        copied_bytes=work.copied_bytes + 4 * layer.input_size,
    )


def pack_with(layer: Layer, cut: Cut) -> Packed:
    """The layer as it is, behind a cut."""
    return replace(dense_pack(layer), cut=cut)
