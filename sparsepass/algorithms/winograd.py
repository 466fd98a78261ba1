"""Winograd's minimal filtering: fewer multiplications, between two transforms of tiles.

F(m x m, r x r) makes m * m outputs of a channel with (m + r - 1)^2 multiplications instead of
r * r * m * m.  A convolution with stride s is the sum of s * s convolutions with stride 1, one for
each phase of its input rows and columns, whose kernels are s times smaller (arXiv 2002.00552).
"""

import math
from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Option, Packed, Work
from sparsepass.algorithms.work import dense_pack, read_bytes, refuse_all_but_planar
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["WINOGRAD_2", "WINOGRAD_4"]

STRIDES = (1, 2, 4)
# As many tiles as the widest vectors have lanes: with fewer, filters fill the lanes.
FEW_TILES = 16


def phase_taps(layer: Layer) -> tuple[int, ...]:
    """Taps of the kernel that meet the same phase of the input, in each direction."""
    return tuple(math.ceil(k / s) for k, s in zip(layer.kernel, layer.strides, strict=True))


def refuse_winograd(layer: Layer, taps: tuple[int, ...]) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if len(layer.kernel) != 2 or phase_taps(layer) not in [(r, r) for r in taps]:
        sizes = " or ".join(f"{r}x{r}" for r in taps)
        return f"its kernel does not have {sizes} taps for a phase of its stride"
    if any(d != 1 for d in layer.dilations):
        return "dilated"
    if layer.strides[0] != layer.strides[1] or layer.strides[0] not in STRIDES:
        return "its strides are not 1x1, 2x2 or 4x4"
    if layer.groups > 1:
        return "grouped convolution"
    return None


def refuse_winograd_2(layer: Layer, stats: Stats, target: Target) -> str | None:
    return refuse_winograd(layer, (3,))


def refuse_winograd_4(layer: Layer, stats: Stats, target: Target) -> str | None:
    return refuse_winograd(layer, (2, 3, 4))


def tiles_of(layer: Layer, outputs: int) -> int:
    """Tiles of ``outputs`` squared in one image."""
    return math.prod(math.ceil(size / outputs) for size in layer.output_spatial)


def kernel_by_tiles(layer: Layer) -> str:
    """Products of few large tiles have filters in their lanes, and wait for the weight."""
    return "few tiles" if layer.batch * tiles_of(layer, 4) <= FEW_TILES else "tiles"


def winograd_work(layer: Layer, outputs: int, lanes: int) -> Work:
    """The products of the transformed tiles of ``outputs`` squared; transforms count as moves."""
    tiles = tiles_of(layer, outputs)
    taps = phase_taps(layer)[0]
    tile = outputs + taps - 1
    channels = layer.channels * math.prod(layer.strides)
    points = tile**2
    # The last point is infinity, where phases whose kernel lacks the last tap have no products.
    phases = (
        (tile - 1) * stride + kernel - (taps - 1) * stride
        for kernel, stride in zip(layer.kernel, layer.strides, strict=True)
    )
    products = math.prod(phases) * layer.channels * layer.filters
    useful = layer.batch * layer.pixels / outputs**2 * products
    # Each point of a tile takes part in two one-dimensional transforms of as many terms, in vectors
    # of tiles of one image.
    turned = points * (channels + layer.filters)
    return Work(
        macs=useful,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * products,
        idle_macs=layer.batch * tiles * products - useful,
        moves=layer.batch * math.ceil(tiles / lanes) * turned * tile,
        copied_bytes=4 * layer.batch * tiles * turned,
    )


def winograd_2_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(winograd_work(layer, 2, target.lanes)),)


def winograd_4_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(winograd_work(layer, 4, target.lanes)),)


def pack_winograd(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


WINOGRAD_2 = Algorithm(
    "winograd2", "bounded", refuse_winograd_2, winograd_2_options, pack_winograd,
    op="Winograd2Conv", source="arXiv 1509.09308, arXiv 2002.00552",
)  # fmt: skip

WINOGRAD_4 = Algorithm(
    "winograd4", "bounded", refuse_winograd_4, winograd_4_options, pack_winograd,
    op="Winograd4Conv", source="arXiv 1509.09308, arXiv 2002.00552",
    kernel=kernel_by_tiles,
)  # fmt: skip
