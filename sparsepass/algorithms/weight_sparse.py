"""Weight-sparse convolution: work that shrinks with the zeros of the weight."""

import math
from collections.abc import Mapping

import numpy as np

from sparsepass.algorithms.row import Algorithm, Lowering, Option, Packed, Work
from sparsepass.algorithms.work import LANES, read_bytes, refuse_all_but_planar
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats

__all__ = ["SPMM"]

# Filters that share an input vector in generated code, and multiply-adds of one piece of it where
# it runs over many units (runtime/native/weight_sparse).
SPARSE_FILTERS, PIECE_MACS, MANY_UNITS = 30, 800, 24
# Bytes of code and weight for each multiply-add, each load of an input vector (from a panel, and
# from elsewhere) and each filter.
MULTIPLY_BYTES, PANEL_LOAD_BYTES, LOAD_BYTES, FILTER_BYTES = 11, 7, 10, 28
# Share of kept weights up to which tiles take the place of code where that would be larger than the
# dense weight (runtime/native/weight_sparse/spmm.cc).
BOUNDED_DENSITY = 0.4
# Bytes that code may take in any case.
UNBOUNDED_BYTES = 24 * 1024
# Bytes of a weight and its index where the output is one position
# (runtime/native/weight_sparse/sparse_dot.cc).
DOT_BYTES = 6
# Weights whose code, MULTIPLY_BYTES each, fits into half of a usual second-level cache.
FEW_WEIGHTS = 1 << 15
# Multiply-adds per input from which a pointwise layer copies its input into panels.
PANEL_REUSE = 12


def refuse_spmm(layer: Layer, stats: Stats) -> str | None:
    if layer.op_type == "Conv" and (reason := refuse_all_but_planar(layer)):
        return reason
    if layer.is_depthwise:
        return "depthwise: no channel to skip"
    if stats.weight.density == 1 and not fits_cache(layer):
        return "no weight is zero"
    return None


def fits_cache(layer: Layer) -> bool:
    """Whether the layer is a convolution of few channels whose code stays in cache.

    Then generated code pays without zeros: ONNX Runtime's kernels want blocks of channels.
    """
    return bool(layer.kernel) and layer.channels < LANES and layer.weight.size <= FEW_WEIGHTS


def spmm_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(spmm_work(layer)),)


def spmm_work(layer: Layer) -> Work:
    kept = int(np.count_nonzero(layer.weight))
    if layer.batch * layer.pixels == 1 and not any(layer.pads):
        return Work(
            macs=kept,
            input_bytes=read_bytes(layer),
            output_bytes=4 * layer.output_size,
            weight_bytes=DOT_BYTES * kept,
            moves=kept,
        )
    units = sparse_units(layer)
    blocks = math.ceil(layer.filters / SPARSE_FILTERS)
    loaded = loads(layer)
    cut = units >= MANY_UNITS * layer.batch
    pieces = max(blocks, math.ceil(kept / PIECE_MACS)) if cut else blocks
    panels = layer.is_pointwise and kept >= PANEL_REUSE * layer.channels
    copied = panels or not layer.is_pointwise or max(layer.strides, default=1) > 1
    load_bytes = PANEL_LOAD_BYTES if panels else LOAD_BYTES
    held = MULTIPLY_BYTES * kept + load_bytes * loaded + FILTER_BYTES * layer.filters
    if kept <= BOUNDED_DENSITY * layer.weight.size:
        held = min(held, max(UNBOUNDED_BYTES, 4 * layer.weight.size))
    return Work(
        macs=layer.batch * layer.pixels * kept,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=held,
        idle_macs=(LANES * units - layer.batch * layer.pixels) * kept,
        moves=units * (loaded + layer.filters + 2 * SPARSE_FILTERS * (pieces - blocks)),
        copied_bytes=4 * layer.input_size if copied else 0,
    )


def sparse_units(layer: Layer) -> int:
    """Vectors of outputs of all images: rows share their padding, so that they follow each other.

    The rows of a product are the positions of one image.
    """
    if layer.op_type != "Conv":
        return math.ceil(layer.batch / LANES)
    width = layer.output_spatial[-1]
    rows = layer.pixels // width
    padding = 0 if layer.is_pointwise else max(layer.pads)
    return layer.batch * math.ceil(rows * (width + padding) / LANES)


def loads(layer: Layer) -> int:
    """Input vectors loaded for one unit: every tap that some filter of a block keeps."""
    mask = (layer.weight != 0).reshape(layer.groups, -1, layer.taps)
    return sum(
        int(np.count_nonzero(mask[:, first : first + SPARSE_FILTERS].any(axis=1)))
        for first in range(0, mask.shape[1], SPARSE_FILTERS)
    )


def pack_spmm(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    flat = layer.weight.reshape(-1)
    indices = np.flatnonzero(flat).astype(np.int32)
    return Packed(
        inputs=(("values", flat[indices]), ("indices", indices)),
        attributes={"w_shape": tuple(layer.weight.shape)},
    )


SPMM = Algorithm(
    "spmm", "rounding", Lowering.CUSTOM_OP, refuse_spmm, spmm_options, pack_spmm,
    op="SparseConv",
    source="arXiv 1911.09723, arXiv 1608.01409, PLDI 2023 sparse register tiling",
)  # fmt: skip
