"""Every way sparsepass knows to compute a convolution, one row each.

A row is the only place that names an algorithm.  Selection, rewriting, the report, the
documentation and the tests all loop over ``ALGORITHMS``; adding a row is the whole job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Layer
from sparsepass.low_rank import output_factors, rank_options
from sparsepass.sparsity import Stats

__all__ = [
    "ALGORITHMS", "DENSE", "Algorithm", "Factor", "Lowering", "Option", "Packed", "Work", "algorithm",
]  # fmt: skip

Numerics = Literal["reference", "rounding", "bounded", "lossy"]


class Lowering(Enum):
    """How a layer of the graph becomes the algorithm."""

    KEEP = "left to ONNX Runtime"
    CUSTOM_OP = "custom op"
    CONV_CHAIN = "chain of plain Conv"


@dataclass(frozen=True)
class Work:
    """What an algorithm does to a layer, counted, not timed.

    ``macs`` are multiply-adds performed, bytes are what has to move once, ``nodes`` how many
    nodes of the graph do it.
    """

    macs: float
    input_bytes: float
    output_bytes: float
    weight_bytes: float
    nodes: int = 1


@dataclass(frozen=True)
class Option:
    """One setting of an algorithm for one layer: its work and its relative output error."""

    work: Work
    parameters: Mapping[str, int] = field(default_factory=dict)
    error: float = 0.0


@dataclass(frozen=True)
class Packed:
    """What a custom op needs besides its input and bias: constant inputs and attributes."""

    inputs: tuple[tuple[str, NDArray[np.float32] | NDArray[np.int32]], ...]
    attributes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Factor:
    """One convolution of a chain.  ``spatial`` factors take the layer's stride, padding and dilation."""

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
    return Work(
        macs=layer.macs,
        input_bytes=4 * layer.input_size,
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * layer.weight.size,
    )


def dense_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(dense_work(layer)),)


def keep(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> None:
    return None


# --- weight-sparse ------------------------------------------------------------------------------


def refuse_spmm(layer: Layer, stats: Stats) -> str | None:
    if len(layer.kernel) > 2:
        return "3-D convolution"
    if layer.is_depthwise:
        return "depthwise: no channel to skip"
    if stats.weight.density > MOST_SPMM_DENSITY:
        return f"only {1 - stats.weight.density:.0%} of the weights are zero"
    return None


# Above this density the row-wise product does more work than a dense kernel on any machine: each
# kept weight costs at least one load and one multiply-add against one multiply-add (algorithms.md 2.4).
MOST_SPMM_DENSITY = 0.6


def spmm_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    kept = float(np.count_nonzero(layer.weight))
    return (
        Option(
            Work(
                macs=layer.batch * layer.pixels * kept,
                input_bytes=4 * layer.input_size,
                output_bytes=4 * layer.output_size,
                weight_bytes=8 * kept,
            )
        ),
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
        Option(low_rank_work(layer, rank), {"rank": rank}, error)
        for rank, error in rank_options(layer, stats.output)
    )


def low_rank_work(layer: Layer, rank: int) -> Work:
    between = 4 * layer.batch * layer.pixels * rank
    return Work(
        macs=layer.batch * layer.pixels * rank * (layer.taps + layer.filters),
        input_bytes=4 * layer.input_size + between,
        output_bytes=4 * layer.output_size + between,
        weight_bytes=4 * rank * (layer.taps + layer.filters),
        nodes=2,
    )


def pack_low_rank(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> tuple[Factor, ...]:
    assert stats.output is not None
    first, second, bias = output_factors(layer, stats.output, parameters["rank"])
    return (
        Factor(first, np.zeros(first.shape[0], np.float32), spatial=True),
        Factor(second, bias, spatial=False),
    )


# --- the table -----------------------------------------------------------------------------------

DENSE = Algorithm("dense", "reference", Lowering.KEEP, never, dense_options, keep)

ALGORITHMS: tuple[Algorithm, ...] = (
    DENSE,
    Algorithm(
        "spmm", "rounding", Lowering.CUSTOM_OP, refuse_spmm, spmm_options, pack_spmm,
        op="SparseConv", source="arXiv 1911.09723, arXiv 1608.01409, PLDI 2023 sparse register tiling",
    ),
    Algorithm(
        "low-rank", "lossy", Lowering.CONV_CHAIN, refuse_low_rank, low_rank_options, pack_low_rank,
        source="arXiv 1505.06798",
    ),
)  # fmt: skip


def algorithm(name: str) -> Algorithm | None:
    """The row called ``name``, or None."""
    return next((row for row in ALGORITHMS if row.name == name), None)
