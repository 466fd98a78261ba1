"""Weight-sparse convolution: work that shrinks with the zeros of the weight."""

import math
from collections.abc import Mapping

import numpy as np

from sparsepass.algorithms.row import Algorithm, Option, Packed, Work
from sparsepass.algorithms.weight_lists import list_work
from sparsepass.algorithms.work import read_bytes, refuse_all_but_planar
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target
from sparsepass.tuning import Tuning

__all__ = ["SPMM", "pack_spmm", "spmm_work"]

# Lanes of a vector of generated code.
UNIT = 16
# Bytes of a weight and its index where the output is one position
# (runtime/native/weight_sparse/sparse_dot.cc).
DOT_BYTES = 6


def refuse_spmm(layer: Layer, stats: Stats, target: Target) -> str | None:
    if layer.op_type == "Conv" and (reason := refuse_all_but_planar(layer)):
        return reason
    if layer.is_depthwise:
        return "depthwise: no channel to skip"
    if stats.weight.density == 1 and not fits_cache(layer, target):
        return "no weight is zero"
    return None


def fits_cache(layer: Layer, target: Target) -> bool:
    """Whether the layer is a convolution of few channels whose weight stays in cache in any form.

    Then it pays without zeros: ONNX Runtime's kernels want blocks of channels.
    """
    return (
        bool(layer.kernel)
        and layer.channels < target.block
        and layer.weight.size <= target.tuning.few_weights
    )


def spmm_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(spmm_work(layer, target)),)


def spmm_work(layer: Layer, target: Target) -> Work:
    """The work of the form that the library gives the weight (weight_sparse/spmm.cc)."""
    if layer.batch * layer.pixels == 1 and not any(layer.pads):
        return dot_work(layer)
    if target.tuning.prefers_code:
        return code_work(layer, target.tuning)
    return list_work(layer, target)


def dot_work(layer: Layer) -> Work:
    """Dot products with the whole input: each weight is used once."""
    kept = int(np.count_nonzero(layer.weight))
    return Work(
        macs=kept,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=DOT_BYTES * kept,
        moves=kept,
    )


def code_work(layer: Layer, tuning: Tuning) -> Work:
    """Generated code, run once for each unit of outputs."""
    kept = int(np.count_nonzero(layer.weight))
    units = sparse_units(layer)
    blocks = math.ceil(layer.filters / tuning.code_rows)
    loaded = loads(layer, tuning.code_rows)
    cut = units >= tuning.piece_units * layer.batch
    pieces = max(blocks, math.ceil(kept / tuning.piece_multiplies)) if cut else blocks
    panels = layer.is_pointwise and kept >= tuning.panel_reuse * layer.channels
    copied = panels or not layer.is_pointwise or max(layer.strides, default=1) > 1
    load_bytes = tuning.panel_load_bytes if panels else tuning.load_bytes
    held = tuning.multiply_bytes * kept + load_bytes * loaded + tuning.filter_bytes * layer.filters
    if kept <= tuning.bounded_density * layer.weight.size:
        held = min(held, max(tuning.unbounded_bytes, 4 * layer.weight.size))
    return Work(
        macs=layer.batch * layer.pixels * kept,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=held,
        idle_macs=(UNIT * units - layer.batch * layer.pixels) * kept,
        moves=units * (loaded + layer.filters + 2 * tuning.code_rows * (pieces - blocks)),
        copied_bytes=4 * layer.input_size if copied else 0,
    )


def sparse_units(layer: Layer) -> int:
    """Vectors of outputs of all images: rows share their padding, so that they follow each other.

    The rows of a product are the positions of one image.
    """
    if layer.op_type != "Conv":
        return math.ceil(layer.batch / UNIT)
    width = layer.output_spatial[-1]
    rows = layer.pixels // width
    padding = 0 if layer.is_pointwise else max(layer.pads)
    return layer.batch * math.ceil(rows * (width + padding) / UNIT)


def loads(layer: Layer, rows: int) -> int:
    """Input vectors loaded for one unit: every tap that some of a block's ``rows`` keep."""
    mask = (layer.weight != 0).reshape(layer.groups, -1, layer.taps)
    return sum(
        int(np.count_nonzero(mask[:, first : first + rows].any(axis=1)))
        for first in range(0, mask.shape[1], rows)
    )


def pack_spmm(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    """The weights that are not zero, and where they are."""
    flat = layer.weight.reshape(-1)
    indices = np.flatnonzero(flat).astype(np.int32)
    filters, channels, *kernel = layer.weight.shape
    shape = (filters, channels, *[1] * (2 - len(kernel)), *kernel)
    return Packed(
        inputs=(("values", flat[indices]), ("indices", indices)),
        bias=layer.bias,
        attributes={"w_shape": shape, "w_dims": np.array(shape, np.int64)},
    )


SPMM = Algorithm(
    "spmm", "rounding", refuse_spmm, spmm_options, pack_spmm,
    op="SparseConv", paired=True,
    source="arXiv 1911.09723, arXiv 1608.01409, PLDI 2023 sparse register tiling",
)  # fmt: skip
