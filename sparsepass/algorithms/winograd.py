"""Winograd's minimal filtering for 3x3: fewer multiplications, between two transforms of tiles.

F(m x m, 3x3) makes m * m outputs of a channel with (m + 2)^2 multiplications instead of 9 m * m.
"""

import math
from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Lowering, Option, Packed, Work
from sparsepass.algorithms.work import LANES, dense_pack, read_bytes, refuse_all_but_planar
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats

__all__ = ["WINOGRAD_2", "WINOGRAD_4"]


def refuse_winograd(layer: Layer, stats: Stats) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if layer.kernel != (3, 3):
        return "its kernel is not 3x3"
    if layer.strides != (1, 1) or layer.dilations != (1, 1):
        return "strided or dilated"
    if layer.groups > 1:
        return "grouped convolution"
    return None


def winograd_work(layer: Layer, tile: int) -> Work:
    """The products of the transformed tiles; transforms count as moves."""
    height, width = layer.output_spatial
    tiles = layer.batch * math.ceil(height / tile) * math.ceil(width / tile)
    points = (tile + 2) ** 2
    products = points * layer.channels * layer.filters
    useful = layer.batch * layer.pixels / tile**2 * products
    # Each point of a tile takes part in two one-dimensional transforms of tile + 2 terms.
    turned = tiles * points * (layer.channels + layer.filters)
    return Work(
        macs=useful,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * products,
        idle_macs=tiles * products - useful,
        moves=turned * (tile + 2) / LANES,
        copied_bytes=4 * turned,
    )


def winograd_2_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(winograd_work(layer, 2)),)


def winograd_4_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(winograd_work(layer, 4)),)


def pack_winograd(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


WINOGRAD_2 = Algorithm(
    "winograd2", "bounded", Lowering.CUSTOM_OP, refuse_winograd, winograd_2_options, pack_winograd,
    op="Winograd2Conv", source="arXiv 1509.09308",
)  # fmt: skip

WINOGRAD_4 = Algorithm(
    "winograd4", "bounded", Lowering.CUSTOM_OP, refuse_winograd, winograd_4_options, pack_winograd,
    op="Winograd4Conv", source="arXiv 1509.09308",
)  # fmt: skip
