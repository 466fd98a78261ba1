"""Every way sparsepass knows to compute a convolution, one row each.

A row is the only place that names an algorithm.  Selection, rewriting, the report, the
documentation and the tests all loop over ``ALGORITHMS``; adding a row is the whole job.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Epilogue, Layer
from sparsepass.low_rank import output_factors, rank_options
from sparsepass.sparsity import Stats

__all__ = [
    "ALGORITHMS", "DENSE", "Algorithm", "Factor", "Lowering", "Option", "Packed", "Work",
    "algorithm", "dense_work",
]  # fmt: skip

# Lanes of the vectors that work is counted in: a unit of our kernels, a block of ONNX Runtime's.
LANES = 16
# ONNX Runtime blocks channels that come in fours; others it leaves to a matrix product.
CHANNEL_STEP = 4
# Outputs that a dense kernel keeps in registers: pixels by filters (MLAS, blocked layout).
DENSE_PIXELS, DENSE_FILTERS = 6, 64
# Filters that share an input vector in generated code, multiply-adds of one piece of it, and bytes
# of code and weight per multiply-add (runtime/native/spmm.cc, spmm_code.h).
SPARSE_FILTERS, PIECE_MACS, CODE_BYTES = 28, 1300, 15

Numerics = Literal["reference", "rounding", "bounded", "lossy"]


class Lowering(Enum):
    """How a layer of the graph becomes the algorithm."""

    KEEP = "left to ONNX Runtime"
    CUSTOM_OP = "custom op"
    CONV_CHAIN = "chain of plain Conv"


@dataclass(frozen=True)
class Work:
    """What an algorithm does to a layer, counted, not timed.

    ``macs`` are useful multiply-adds, ``idle_macs`` those that vector lanes do for nothing at the
    edges of the map; ``moves`` are loads, stores and turns of the inner loop around them, in
    vectors of ``LANES``.  Bytes are what has to move once, ``copied_bytes`` what is rearranged
    before; ``nodes`` is how many nodes of the graph do it.
    """

    macs: float
    input_bytes: float
    output_bytes: float
    weight_bytes: float
    nodes: int = 1
    idle_macs: float = 0.0
    moves: float = 0.0
    copied_bytes: float = 0.0


@dataclass(frozen=True)
class Option:
    """One setting of an algorithm for one layer: its work and its relative output error.

    ``chain`` holds the dense layers that it becomes, where it becomes several; only the shapes of
    their weights count.
    """

    work: Work
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])
    error: float = 0.0
    chain: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Packed:
    """What a custom op needs besides its input and bias: constant inputs and attributes."""

    inputs: tuple[tuple[str, NDArray[np.float32] | NDArray[np.int32]], ...]
    attributes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


@dataclass(frozen=True)
class Factor:
    """One convolution of a chain; ``spatial`` ones take the layer's stride, padding, dilation."""

    weight: Array
    bias: Array
    spatial: bool


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    ``refuse`` returns the reason a layer is out of reach, or None.  ``options`` lists the settings
    worth pricing, with counted work; turning counts into time is the cost model's business.
    ``pack`` prepares the weight: a ``Packed`` for a custom op, factors for a chain, None for KEEP.
    """

    name: str
    numerics: Numerics
    lowering: Lowering
    refuse: Callable[[Layer, Stats], str | None]
    options: Callable[[Layer, Stats], tuple[Option, ...]]
    pack: Callable[[Layer, Stats, Mapping[str, int]], Packed | tuple[Factor, ...] | None]
    op: str = ""
    source: str = ""


def never(layer: Layer, stats: Stats) -> str | None:
    return None


def dense_work(layer: Layer) -> Work:
    """The work of a dense convolution in the blocked layout of ONNX Runtime."""
    channels, filters = layer.weight.shape[1], layer.filters // layer.groups
    performed = float(layer.macs)
    if len(layer.kernel) == 2 and layer.is_depthwise:
        performed *= round_up(layer.groups, LANES) / layer.groups
    elif len(layer.kernel) == 2 and (channels < LANES or channels % CHANNEL_STEP == 0):
        # Fewer channels than a block are read from NCHW, and need not be filled up.
        filled = round_up(channels, LANES) if channels >= LANES else channels
        performed *= filled / channels * round_up(filters, LANES) / filters
    tiles = layer.batch * row_tiles(layer) * layer.taps * layer.groups
    return Work(
        macs=layer.macs,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * layer.weight.size,
        idle_macs=performed - layer.macs,
        moves=tiles * math.ceil(filters / DENSE_FILTERS),
    )


def row_tiles(layer: Layer) -> int:
    """Turns of a dense kernel over the map: DENSE_PIXELS outputs each, one at padded edges."""
    if layer.is_pointwise:
        return math.ceil(layer.pixels / DENSE_PIXELS)
    width = layer.output_spatial[-1]
    edges = min(width, layer.pads[len(layer.kernel) - 1] + layer.pads[-1])
    return layer.pixels // width * (math.ceil((width - edges) / DENSE_PIXELS) + edges)


def read_bytes(layer: Layer) -> int:
    """Bytes of the maps that a layer reads: its input, and what its epilogue adds."""
    return 4 * (layer.input_size + (layer.output_size if layer.epilogue.residual else 0))


def round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def dense_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(dense_work(layer)),)


def keep(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> None:
    return None


# --- weight-sparse ------------------------------------------------------------------------------


def refuse_spmm(layer: Layer, stats: Stats) -> str | None:
    if layer.op_type != "Conv":
        return "not a convolution"
    if len(layer.kernel) > 2:
        return "3-D convolution"
    if layer.is_depthwise:
        return "depthwise: no channel to skip"
    if stats.weight.density == 1:
        return "no weight is zero"
    return None


def spmm_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(spmm_work(layer)),)


def spmm_work(layer: Layer) -> Work:
    kept = int(np.count_nonzero(layer.weight))
    units = layer.batch * sparse_units(layer)
    blocks = math.ceil(layer.filters / SPARSE_FILTERS)
    pieces = max(blocks, math.ceil(kept / PIECE_MACS))
    copied = not layer.is_pointwise or max(layer.strides) > 1 or kept >= 12 * layer.channels
    return Work(
        macs=layer.batch * layer.pixels * kept,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=CODE_BYTES * kept,
        idle_macs=(LANES * units - layer.batch * layer.pixels) * kept,
        moves=units * (loads(layer) + layer.filters + 2 * SPARSE_FILTERS * (pieces - blocks)),
        copied_bytes=4 * layer.input_size if copied else 0,
    )


def sparse_units(layer: Layer) -> int:
    """Vectors of outputs of one image: rows share their padding, so that they follow each other."""
    width = layer.output_spatial[-1]
    rows = layer.pixels // width
    padding = 0 if layer.is_pointwise else max(layer.pads)
    return math.ceil(rows * (width + padding) / LANES)


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


# --- low rank ------------------------------------------------------------------------------------


def refuse_low_rank(layer: Layer, stats: Stats) -> str | None:
    if layer.op_type != "Conv":
        return "not a convolution"
    if layer.groups > 1:
        return "grouped convolution"
    if stats.output is None:
        return "lossy: needs --max-error and --samples"
    if not rank_options(layer, stats.output):
        return "no rank below the dense work"
    return None


def low_rank_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
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


# --- the table -----------------------------------------------------------------------------------

DENSE = Algorithm("dense", "reference", Lowering.KEEP, never, dense_options, keep)

ALGORITHMS: tuple[Algorithm, ...] = (
    DENSE,
    Algorithm(
        "spmm", "rounding", Lowering.CUSTOM_OP, refuse_spmm, spmm_options, pack_spmm,
        op="SparseConv",
        source="arXiv 1911.09723, arXiv 1608.01409, PLDI 2023 sparse register tiling",
    ),
    Algorithm(
        "low-rank", "lossy", Lowering.CONV_CHAIN, refuse_low_rank, low_rank_options, pack_low_rank,
        source="arXiv 1505.06798",
    ),
)  # fmt: skip


def algorithm(name: str) -> Algorithm | None:
    """The row called ``name``, or None."""
    return next((row for row in ALGORITHMS if row.name == name), None)
