"""Thresholds on activations: small values become zero, for kernels that skip zeros.

A layer behind a ReLU reads many small values that say little (FATReLU, Kurtz et al., ICML 2020).
With a threshold t, x becomes x where it is above t and zero elsewhere, for each share of zeros.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sparsepass.algorithms.activation_sparse import CPO
from sparsepass.algorithms.cuts import (
    Loss,
    drawn_of,
    found_loss,
    option_with,
    pack_with,
    pays,
    with_zeros,
)
from sparsepass.algorithms.prune import prune_statistics, refuse_moments
from sparsepass.algorithms.row import Algorithm, Option, Packed, Threshold
from sparsepass.layer import Layer
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
        option_with(
            layer,
            with_zeros(stats, share / 100),
            target,
            {"input_zeros": share},
            loss_of(layer, stats, share).error,
        )
        for share in settings(layer, stats, target)
    )


def settings(layer: Layer, stats: Stats, target: Target) -> tuple[int, ...]:
    """The shares of zeros that the input does not have yet and from which encoding it pays."""
    assert stats.input is not None
    return tuple(
        share
        for share in SHARES
        if share > 100 * stats.input.zeros_mean
        and pays(layer, with_zeros(stats, share / 100), target)
    )


def loss_of(layer: Layer, stats: Stats, share: int) -> Loss:
    def find() -> Loss:
        drawn = drawn_of(stats)
        return found_loss(layer, stats, np.where(drawn > threshold_of(stats, share), 0, drawn))

    return stats.once(("threshold loss", share), find)


def threshold_of(stats: Stats, share: int) -> float:
    """What has to be exceeded, so that ``share`` percent of the input are zeros."""
    return stats.once(("threshold", share), lambda: found_threshold(stats, share))


def found_threshold(stats: Stats, share: int) -> float:
    assert stats.input is not None
    drawn = drawn_of(stats)
    # Zeros of a patch may be padding: only what is not zero says how much is below a threshold.
    kept = (1 - share / 100) / (1 - stats.input.zeros_mean)
    return float(np.quantile(drawn[drawn > 0], 1 - kept, method="lower"))


def pack_threshold(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    bias = loss_of(layer, stats, parameters["input_zeros"]).bias
    return pack_weight(replace(layer, bias=bias), stats, parameters)


def pack_weight(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    """A weight that stands for that of the layer, behind the threshold of a setting."""
    return pack_with(layer, Threshold(threshold_of(stats, parameters["input_zeros"])))


THRESHOLD = Algorithm(
    "threshold", "lossy", refuse_threshold, threshold_options, pack_threshold,
    op=CPO.op, source="PMLR 119:5533-5543, arXiv 2104.08314", prices=CPO.name,
    statistics=prune_statistics, pack_weight=pack_weight,
)  # fmt: skip
