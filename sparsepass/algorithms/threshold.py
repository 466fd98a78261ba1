"""Thresholds on activations: small values become zero, for kernels that skip zeros.

A layer behind a ReLU reads many small values that say little (FATReLU, Kurtz et al., ICML 2020).
With a threshold t, x becomes x where it is above t and zero elsewhere; what the layer loses on
average goes to its bias.  Error and threshold are measured on patches that samples have drawn, for
each share of zeros.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sparsepass.algorithms.activation_sparse import CPO
from sparsepass.algorithms.prune import prune_statistics, refuse_moments
from sparsepass.algorithms.row import Algorithm, Option, Packed, Work
from sparsepass.algorithms.work import dense_pack
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["THRESHOLD"]

# Percent of zeros in what the layer reads.
SHARES = tuple(range(50, 100, 5))


def refuse_threshold(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_moments(layer, stats):
        return reason
    if stats.input is None or drawn_of(stats).min() < 0:
        return "its input has negative values"
    if not drawn_of(stats).any():
        return "its input is zero on all samples"
    if not settings(layer, stats, target):
        return "as many zeros as pay are there, or none do"
    return None


def threshold_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return tuple(
        Option(
            with_threshold(CPO.options(layer, at(stats, share), target)[0].work, layer, target),
            {"input_zeros": share},
            cut_of(layer, stats, share).error,
        )
        for share in settings(layer, stats, target)
    )


def with_threshold(work: Work, layer: Layer, target: Target) -> Work:
    """The threshold reads and writes the input once more."""
    return replace(
        work,
        nodes=work.nodes + 1,
        moves=work.moves + 2 * layer.input_size / target.lanes,
        input_bytes=work.input_bytes + 4 * layer.input_size,
        copied_bytes=work.copied_bytes + 4 * layer.input_size,
    )


def settings(layer: Layer, stats: Stats, target: Target) -> tuple[int, ...]:
    """The shares of zeros that the input does not have yet and from which encoding it pays."""
    assert stats.input is not None
    return tuple(
        share
        for share in SHARES
        if share > 100 * stats.input.zeros_mean
        and CPO.refuse(layer, at(stats, share), target) is None
    )


def at(stats: Stats, share: int) -> Stats:
    """The statistics with ``share`` percent of zeros; images differ as they did before."""
    found = stats.input
    assert found is not None
    left = (1 - share / 100) / (1 - found.zeros_mean)
    low, high = (min(1.0, 1 - left * (1 - zeros)) for zeros in (found.zeros_p10, found.zeros_p90))
    changed = replace(found, zeros_mean=share / 100, zeros_p10=max(low, 0.0), zeros_p90=high)
    return replace(stats, input=changed)


@dataclass(frozen=True)
class Cut:
    """The relative error of the output that a threshold causes, and the bias that it wants."""

    error: float
    bias: Array


def cut_of(layer: Layer, stats: Stats, share: int) -> Cut:
    return stats.once(("cut", share), lambda: found_cut(layer, stats, share))


def found_cut(layer: Layer, stats: Stats, share: int) -> Cut:
    assert stats.patches is not None
    drawn = drawn_of(stats)
    removed = np.where(drawn > threshold_of(stats, share), 0, drawn)
    rows = layer.weight.reshape(layer.groups, -1, layer.taps)
    lost = (rows @ removed).reshape(layer.filters, -1)
    mean = lost.mean(axis=1, dtype=np.float64)
    left = np.square(lost - mean[:, None], dtype=np.float64).sum() / lost.shape[1]
    energy = stats.patches.output_energy(layer.weight, layer.bias)
    return Cut(math.sqrt(left / energy), (layer.bias + mean).astype(np.float32))


def threshold_of(stats: Stats, share: int) -> float:
    """What has to be exceeded, so that ``share`` percent of the input are zeros."""
    return stats.once(("threshold", share), lambda: found_threshold(stats, share))


def found_threshold(stats: Stats, share: int) -> float:
    assert stats.input is not None
    drawn = drawn_of(stats)
    # Zeros of a patch may be padding: only what is not zero says how much is below a threshold.
    kept = (1 - share / 100) / (1 - stats.input.zeros_mean)
    return float(np.quantile(drawn[drawn > 0], 1 - kept, method="lower"))


def drawn_of(stats: Stats) -> Array:
    assert stats.patches is not None
    assert stats.patches.drawn is not None
    return stats.patches.drawn


def pack_threshold(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    bias = cut_of(layer, stats, parameters["input_zeros"]).bias
    return pack_weight(replace(layer, bias=bias), stats, parameters)


def pack_weight(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    """A weight that stands for that of the layer, behind the threshold of a setting."""
    return replace(dense_pack(layer), threshold=threshold_of(stats, parameters["input_zeros"]))


THRESHOLD = Algorithm(
    "threshold", "lossy", refuse_threshold, threshold_options, pack_threshold,
    op=CPO.op, source="PMLR 119:5533-5543, arXiv 2104.08314", prices=CPO.name,
    statistics=prune_statistics, pack_weight=pack_weight,
)  # fmt: skip
