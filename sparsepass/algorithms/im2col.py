"""Convolution as a matrix product: the baselines of the papers, and what dense input falls back to.

im2col copies every window of the input; MEC (Cho and Brand, ICML 2017) copies strips of columns,
whose rows overlap, and so needs about kernel height / stride times less memory.
"""

from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Option, Packed, Work
from sparsepass.algorithms.work import (
    dense_pack,
    read_bytes,
    refuse_all_but_planar,
    round_up,
)
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["IM2COL", "MEC"]


def refuse_im2col(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if layer.is_depthwise:
        return "depthwise: a product with one row"
    return None


def refuse_mec(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_im2col(layer, stats, target):
        return reason
    if len(layer.kernel) < 2 or layer.kernel[0] <= layer.strides[0]:
        return "windows do not overlap vertically"
    return None


def product_work(layer: Layer, copied: float, lanes: int) -> Work:
    """A product over ``copied`` floats; pixels or filters fill whole vectors."""
    performed = min(
        layer.macs * round_up(layer.pixels, lanes) / layer.pixels,
        layer.macs * round_up(layer.filters, lanes) / layer.filters,
    )
    return Work(
        macs=layer.macs,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * layer.weight.size,
        idle_macs=performed - layer.macs,
        copied_bytes=4 * copied,
    )


def im2col_floats(layer: Layer) -> int:
    """Size of the im2col matrix of the whole batch."""
    return layer.batch * layer.pixels * layer.taps * layer.groups


def mec_floats(layer: Layer) -> int:
    """Size of MEC's matrix: a strip of kernel width for each output column."""
    height = layer.input_spatial[0] + layer.pads[0] + layer.pads[2]
    return layer.batch * layer.output_spatial[1] * height * layer.kernel[1] * layer.channels


def im2col_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    # The matrix of a 1x1 convolution is its input, which is read where it lies.
    plain = {*layer.kernel, *layer.strides} == {1} and not any(layer.pads)
    return (Option(product_work(layer, 0 if plain else im2col_floats(layer), target.lanes)),)


def mec_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(product_work(layer, mec_floats(layer), target.lanes)),)


def im2col_paper(layer: Layer, stats: Stats) -> float:
    return 4 * im2col_floats(layer) / layer.batch


def mec_paper(layer: Layer, stats: Stats) -> float:
    return 4 * mec_floats(layer) / layer.batch


def pack_product(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


IM2COL = Algorithm(
    "im2col", "rounding", refuse_im2col, im2col_options, pack_product,
    op="Im2colConv", paper_workspace=im2col_paper,
)  # fmt: skip

MEC = Algorithm(
    "mec", "rounding", refuse_mec, mec_options, pack_product,
    op="MecConv", source="arXiv 1706.06873", paper_workspace=mec_paper,
)  # fmt: skip
