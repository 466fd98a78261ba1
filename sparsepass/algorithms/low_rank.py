"""Low-rank factorization: a chain of plain convolutions, under an error budget."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sparsepass.algorithms.row import Algorithm, Factor, Lowering, Option, Work
from sparsepass.algorithms.work import read_bytes
from sparsepass.layer import Array, Epilogue, Layer
from sparsepass.low_rank import output_factors, rank_options
from sparsepass.sparsity import Stats

__all__ = ["LOW_RANK"]


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


LOW_RANK = Algorithm(
    "low-rank", "lossy", Lowering.CONV_CHAIN, refuse_low_rank, low_rank_options, pack_low_rank,
    source="arXiv 1505.06798",
)  # fmt: skip
