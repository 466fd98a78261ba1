"""Chains of plain convolutions: the dense layers that they are priced as, and what to offer."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.moments import refuse_taps
from sparsepass.algorithms.row import Factor, Option, Work
from sparsepass.algorithms.work import read_bytes
from sparsepass.layer import Array, Epilogue, Layer
from sparsepass.sparsity import Patches, Stats

__all__ = [
    "Part", "chain_of", "chain_work", "factors_of", "kept_mean", "patches_in", "ranks_below",
    "refuse_shape", "relative", "single", "worthwhile",
]  # fmt: skip

Matrix = NDArray[np.floating[Any]]

# ONNX Runtime's blocked layout works in blocks of 8 or 16 channels; a rank between them pays for
# the whole block.  Above WIDE channels steps of 8 change the work by less than a tenth.
BLOCK = 8
WIDE = 128


@dataclass(frozen=True)
class Part:
    """One convolution of a chain: its output channels, and the axes whose kernel it has."""

    filters: int
    axes: tuple[int, ...] = ()


def ranks_below(channels: int, most: float) -> range:
    """Ranks in place of ``channels``, below ``most``: whole blocks."""
    step = 2 * BLOCK if channels >= WIDE else BLOCK
    return range(step, math.ceil(most), step)


def chain_of(layer: Layer, parts: Sequence[Part]) -> tuple[Layer, ...]:
    """The dense layers of a chain, with weights that are shapes without memory."""
    chain: list[Layer] = []
    channels, spatial = layer.channels, layer.input_spatial
    for part in parts:
        made = part_of(layer, part, channels, spatial, last=part is parts[-1])
        chain.append(made)
        channels, spatial = made.filters, made.output_spatial
    return tuple(chain)


def part_of(
    layer: Layer, part: Part, channels: int, spatial: tuple[int, ...], *, last: bool
) -> Layer:
    axes = range(len(layer.kernel))

    def where(values: tuple[int, ...], other: int) -> tuple[int, ...]:
        return tuple(values[axis] if axis in part.axes else other for axis in axes)

    kernel, count = where(layer.kernel, 1), len(layer.kernel)
    zero: Array = np.zeros((), np.float32)
    return replace(
        layer,
        kernel=kernel,
        strides=where(layer.strides, 1),
        dilations=where(layer.dilations, 1),
        pads=(*where(layer.pads[:count], 0), *where(layer.pads[count:], 0)),
        input_spatial=spatial,
        weight=np.broadcast_to(zero, (part.filters, channels, *kernel)),
        bias=np.broadcast_to(zero, part.filters),
        epilogue=layer.epilogue if last else Epilogue(),
    )


def chain_work(chain: Sequence[Layer]) -> Work:
    """What all layers of a chain do, feature maps between them written and read."""
    return Work(
        macs=sum(part.macs for part in chain),
        input_bytes=sum(map(read_bytes, chain)),
        output_bytes=4 * sum(part.output_size for part in chain),
        weight_bytes=4 * sum(part.weight.size for part in chain),
        nodes=len(chain),
    )


def factors_of(
    layer: Layer, parts: Sequence[Part], weights: Sequence[Matrix], bias: Array
) -> tuple[Factor, ...]:
    """The chain with ``weights``, matrices of one row a filter; the last has the ``bias``."""
    shapes = [part.weight.shape for part in chain_of(layer, parts)]
    biases = [np.zeros(part.filters, np.float32) for part in parts[:-1]] + [bias]
    every = tuple(range(len(layer.kernel)))
    return tuple(
        Factor(
            single(weight.reshape(shape)),
            factor_bias,
            spatial=bool(part.axes),
            axes=None if part.axes in ((), every) else part.axes,
        )
        for part, shape, weight, factor_bias in zip(parts, shapes, weights, biases, strict=True)
    )


def worthwhile(options: Iterable[Option]) -> tuple[Option, ...]:
    """The options of which none has less error for as little work, ascending in work."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (option.work.macs, option.error)):
        if not kept or option.error < kept[-1].error:
            kept.append(option)
    return tuple(kept)


def refuse_shape(layer: Layer) -> str | None:
    """Why there are no chains for such layers, or None."""
    if layer.op_type != "Conv":
        return "not a convolution"
    if layer.groups > 1:
        return "grouped convolution"
    return refuse_taps(layer)


def patches_in(stats: Stats) -> Patches:
    """The input moments, which are there where ``refuse_patches`` has no reason."""
    assert stats.patches is not None
    return stats.patches


def kept_mean(layer: Layer, stats: Stats, weight: Matrix) -> Array:
    """The bias with which ``weight`` in place of the layer's keeps the mean of every output."""
    change = (layer.weight - weight).reshape(layer.filters, -1)
    return single(layer.bias + change @ patches_in(stats).mean[0])


def single(values: Matrix) -> Array:
    """Values as float32, in one piece."""
    return np.ascontiguousarray(values, np.float32)


def relative(layer: Layer, stats: Stats, explained: float) -> float:
    """The relative error of an output of which so much of the variance is ``explained``."""
    variance, energy = stats.once("variance and energy", lambda: variance_and_energy(layer, stats))
    return math.sqrt(max(variance - explained, 0.0) / energy)


def variance_and_energy(layer: Layer, stats: Stats) -> tuple[float, float]:
    """Variance and mean square of the output, summed over filters."""
    patches = patches_in(stats)
    weight = layer.weight.reshape(layer.filters, -1).astype(np.float64)
    variance = float(np.sum((weight @ patches.covariance[0]) * weight))
    return variance, patches.output_energy(layer.weight, layer.bias)
