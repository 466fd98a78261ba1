"""What each output position of a layer reads of its input: patches, as columns of a matrix."""

from collections.abc import Iterator, Sequence
from functools import reduce
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Layer

__all__ = ["PATCHES", "TOGETHER", "columns_of", "patches_of", "positions_for"]

# Positions of one image that are drawn: fewer than for moments of the output, because the products
# of a patch cost taps^2 each.  Of few images they are more: all have PER_TAP for each tap.
PATCHES = 256
PER_TAP = 20
# Positions whose products are added as one, in single precision: adding taps^2 numbers in double
# takes as long as the products of a hundred positions.
TOGETHER = 1024


def positions_for(layer: Layer, samples: int) -> int:
    """How many positions of each image to draw, where ``samples`` are seen."""
    return max(PATCHES, ceil(PER_TAP * layer.taps / (samples * layer.batch)))


def patches_of(
    values: NDArray[Any], layer: Layer, rng: np.random.Generator, most: int = PATCHES
) -> Iterator[NDArray[np.float32]]:
    """Patches of each image as columns, (groups, taps, positions); of a product, of all rows.

    There are ``most`` of them, or all where those are fewer.
    """
    return (columns for columns, _ in columns_of(values, layer, rng, most))


def columns_of(
    values: NDArray[Any], layer: Layer, rng: np.random.Generator, most: int = PATCHES
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Patches as ``patches_of`` gives them, each with its output positions in the flat map."""
    if not layer.kernel:
        rows = values.reshape(-1, layer.taps)
        chosen = drawn(len(rows), rng, most)
        yield np.ascontiguousarray(rows[chosen].T, np.float32)[None], chosen
        return
    axes = len(layer.kernel)
    pads = tuple(zip(layer.pads[:axes], layer.pads[axes:], strict=True))
    padded_sizes = [n + sum(pad) for n, pad in zip(values.shape[2:], pads, strict=True)]
    places = positions_of(layer, padded_sizes)
    offsets = offsets_of(layer, padded_sizes)
    for image in values:
        flat = np.pad(image, ((0, 0), *pads)).reshape(layer.channels, -1)
        chosen = drawn(len(places), rng, most)
        taken = np.add.outer(offsets, places[chosen])
        columns = np.take(flat, taken, axis=1).reshape(layer.groups, layer.taps, -1)
        yield columns.astype(np.float32, copy=False), chosen


def drawn(count: int, rng: np.random.Generator, most: int) -> NDArray[np.intp]:
    """``most`` of ``count`` positions, or all where they are fewer."""
    if count <= most:
        return np.arange(count)
    return rng.choice(count, most, replace=False)


def positions_of(layer: Layer, sizes: Sequence[int]) -> NDArray[np.intp]:
    """Where in a padded map of ``sizes``, flattened, the patch of each output begins."""
    spans = (d * (k - 1) for k, d in zip(layer.kernel, layer.dilations, strict=True))
    starts = [
        range(0, size - span, stride)
        for size, span, stride in zip(sizes, spans, layer.strides, strict=True)
    ]
    return flat_indices(starts, sizes)


def offsets_of(layer: Layer, sizes: Sequence[int]) -> NDArray[np.intp]:
    """How far each tap of a channel lies from where its patch begins."""
    taps = [range(0, k * d, d) for k, d in zip(layer.kernel, layer.dilations, strict=True)]
    return flat_indices(taps, sizes)


def flat_indices(axes: Sequence[range], sizes: Sequence[int]) -> NDArray[np.intp]:
    parts = [
        np.asarray(axis, np.intp) * prod(sizes[number + 1 :]) for number, axis in enumerate(axes)
    ]
    return reduce(np.add.outer, parts).reshape(-1)
