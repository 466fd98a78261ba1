"""Low rank plus sparse residual: a chain of two plain convolutions and a sparse one, added up.

A weight W becomes U V + S, where U V catches what all filters have in common and S single weights
that stand out of it.  Both are fitted in turn to the outputs on samples (``approximation``).  The
chain U V is computed beside the sparse convolution, which adds its outputs.

A multiply-add of the chain could as well go to one more weight of S.  So settings are fitted and
offered only where pruning alone, with no more multiply-adds, has a larger error than the best
U V beside what pruning keeps.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.chains import (
    chain_of,
    factors_of,
    kept_mean,
    patches_in,
    ranks_below,
    refuse_shape,
    single,
)
from sparsepass.algorithms.low_rank import parts
from sparsepass.algorithms.prune import prune_statistics, refuse_prune, settings, supports_of
from sparsepass.algorithms.row import Algorithm, Beside, Option, Work
from sparsepass.algorithms.weight_sparse import SPMM, pack_spmm, spmm_work
from sparsepass.approximation import LowRankSparse, find_low_rank_sparse, rank_costs
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Statistic, Stats
from sparsepass.target import Target

__all__ = ["LOW_RANK_SPARSE", "option_of", "possible_settings"]

# Few are offered, as each is a fit of its own: ranks from these shares of the full one on, and
# percentages of zeros beside them.
SHARES = (1 / 16, 1 / 8)
ZEROS = (80, 90, 95)
# Multiply-adds at most, as a share of the dense ones.
MOST_WORK = 0.5


def low_rank_sparse_statistics(layer: Layer) -> frozenset[Statistic]:
    return frozenset() if refuse_layer(layer) else prune_statistics(layer)


def refuse_layer(layer: Layer) -> str | None:
    if reason := refuse_shape(layer):
        return reason
    return None if possible_settings(layer) else "no rank and zeros below half of the dense work"


def refuse_low_rank_sparse(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_layer(layer) or refuse_prune(layer, stats, target):
        return reason
    if not offered_settings(layer, stats):
        return "pruning alone has less error for as many multiply-adds"
    return None


def low_rank_sparse_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return tuple(
        option_of(layer, stats, target, rank, zeros)
        for rank, zeros in offered_settings(layer, stats)
    )


def option_of(layer: Layer, stats: Stats, target: Target, rank: int, zeros: int) -> Option:
    """A setting, offered or not: a chain of this rank, a residual of this percentage of zeros."""
    found = fitted(layer, stats, rank, zeros)
    energy = patches_in(stats).output_energy(layer.weight, layer.bias)
    return Option(
        op_work(replace(layer, weight=sparse_of(layer, found)), target),
        {"rank": rank, "sparsity": zeros},
        math.sqrt(max(found.cost, 0.0) / energy),
        chain_of(layer, parts(layer, rank)),
    )


def approximate_low_rank_sparse(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    found = fitted(layer, stats, parameters["rank"], parameters["sparsity"])
    weight = (found.low_rank + found.sparse).reshape(layer.weight.shape)
    return single(weight), kept_mean(layer, stats, weight)


def pack_low_rank_sparse(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Beside:
    found = fitted(layer, stats, parameters["rank"], parameters["sparsity"])
    _, bias = approximate_low_rank_sparse(layer, stats, parameters)
    both = parts(layer, parameters["rank"])
    chain = factors_of(layer, both, (found.first, found.last), np.zeros_like(bias))
    sparse = replace(layer, weight=sparse_of(layer, found), bias=bias)
    return Beside(chain, pack_spmm(sparse, stats, {}))


def possible_settings(layer: Layer) -> list[tuple[int, int]]:
    """Ranks, and percentages of zeros that the layer does not have yet."""
    more_zeros = settings(layer)
    return [
        (rank, zeros)
        for rank in possible_ranks(layer)
        for zeros in ZEROS
        if zeros in more_zeros and work_share(layer, rank, zeros) < MOST_WORK
    ]


def possible_ranks(layer: Layer) -> list[int]:
    full = min(layer.filters, layer.taps)
    ranks = ranks_below(full, full)
    return sorted({min(r for r in ranks if r >= share * full) for share in SHARES if ranks})


def work_share(layer: Layer, rank: int, zeros: int) -> float:
    """The multiply-adds of a setting over the dense ones."""
    return rank * (layer.taps + layer.filters) / layer.weight.size + (100 - zeros) / 100


def offered_settings(layer: Layer, stats: Stats) -> list[tuple[int, int]]:
    return stats.once("low rank beside sparse", lambda: worthwhile_settings(layer, stats))


def worthwhile_settings(layer: Layer, stats: Stats) -> list[tuple[int, int]]:
    """The settings that begin with less error than pruning has for as many multiply-adds."""
    patches, possible = patches_in(stats), possible_settings(layer)
    costs = {
        zeros: rank_costs(
            layer.weight.reshape(layer.filters, -1),
            patches.covariance[0],
            mask_of(layer, stats, zeros),
        )
        for zeros in {zeros for _, zeros in possible}
    }
    energy = patches.output_energy(layer.weight, layer.bias)
    return [
        (rank, zeros)
        for rank, zeros in possible
        if math.sqrt(costs[zeros][rank] / energy)
        < pruned_error(layer, stats, work_share(layer, rank, zeros))
    ]


def pruned_error(layer: Layer, stats: Stats, share: float) -> float:
    """The least error of pruning with at most so many multiply-adds, as a share of the dense."""
    errors = zip(settings(layer), supports_of(layer, stats).errors, strict=True)
    return min((e for zeros, e in errors if 100 - zeros <= 100 * share), default=math.inf)


def mask_of(layer: Layer, stats: Stats, zeros: int) -> NDArray[np.bool_]:
    """What pruning keeps of the layer, (filters, taps)."""
    mask = supports_of(layer, stats).mask(layer, settings(layer).index(zeros))
    return mask.reshape(layer.filters, -1) > 0


def fitted(layer: Layer, stats: Stats, rank: int, zeros: int) -> LowRankSparse:
    return stats.once(
        ("low rank beside sparse", rank, zeros),
        lambda: find_low_rank_sparse(
            layer.weight.reshape(layer.filters, -1),
            patches_in(stats).covariance[0],
            rank,
            mask_of(layer, stats, zeros),
        ),
    )


def sparse_of(layer: Layer, found: LowRankSparse) -> Array:
    return single(found.sparse.reshape(layer.weight.shape))


def op_work(layer: Layer, target: Target) -> Work:
    """The work of the op, which adds what the chain makes; what a layer adds itself comes after."""
    own = replace(layer, epilogue=replace(layer.epilogue, residual=True))
    work, size = spmm_work(own, target), 4 * layer.output_size
    if not layer.epilogue.residual:
        return work
    return replace(
        work,
        nodes=work.nodes + 1,
        input_bytes=work.input_bytes + 2 * size,
        output_bytes=work.output_bytes + size,
    )


LOW_RANK_SPARSE = Algorithm(
    "low-rank-sparse", "lossy",
    refuse_low_rank_sparse, low_rank_sparse_options, pack_low_rank_sparse,
    op=SPMM.op, source="arXiv 2409.13652, arXiv 2502.00899", prices=SPMM.name,
    statistics=low_rank_sparse_statistics, approximate=approximate_low_rank_sparse,
)  # fmt: skip
