"""Pruning in blocks: zeros of four neighbouring input channels of a filter and tap at a time.

For int8 kernels, which take four input channels in one instruction and so can only skip four
together.  Which blocks stay is searched by what the outputs do, and what is kept is fitted to them,
as in ``prune``.  Our kernels have no use for the pattern: ``prune`` gives less error in the same
time.
"""

from collections.abc import Mapping
from dataclasses import replace

from sparsepass.algorithms.prune import (
    LayerSupports,
    each_group,
    fitted_on,
    kept_counts,
    options_of,
    pack_weight,
    prune_statistics,
    refuse_prune,
    settings,
)
from sparsepass.algorithms.row import Algorithm, Option, Payload
from sparsepass.algorithms.weight_sparse import SPMM
from sparsepass.approximation import BLOCK, find_blocks
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["BLOCKS"]


def refuse_blocks(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_prune(layer, stats, target):
        return reason
    if layer.weight.shape[1] < BLOCK:
        return f"few channels: a filter has no block of {BLOCK}"
    return None


def block_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return options_of(layer, supports_of(layer, stats), target)


def approximate_blocks(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    zeros = parameters["zeros"]
    return stats.once(("blocks", zeros), lambda: fitted(layer, stats, zeros))


def fitted(layer: Layer, stats: Stats, zeros: int) -> tuple[Array, Array]:
    mask = supports_of(layer, stats).mask(layer, settings(layer).index(zeros))
    return fitted_on(layer, stats, mask)


def supports_of(layer: Layer, stats: Stats) -> LayerSupports:
    kept, channels = kept_counts(layer), layer.weight.shape[1]
    return stats.once(
        "blocks",
        lambda: each_group(
            layer, stats, lambda weight, moments: find_blocks(weight, moments, channels, kept)
        ),
    )


def pack_blocks(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Payload:
    weight, bias = approximate_blocks(layer, stats, parameters)
    return pack_weight(replace(layer, weight=weight, bias=bias), stats, parameters)


BLOCKS = Algorithm(
    "blocks", "lossy", refuse_blocks, block_options, pack_blocks,
    op=SPMM.op, paired=True, source="arXiv 2208.11580, arXiv 2406.07831", prices=SPMM.name,
    statistics=prune_statistics, approximate=approximate_blocks, pack_weight=pack_weight,
    pattern="1x4",
)  # fmt: skip
