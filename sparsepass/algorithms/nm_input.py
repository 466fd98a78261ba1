"""N:M structure in activations: of every M channels the N largest stay, others are skipped.

The other side of a series of N:M terms (TASD-A of arXiv 2403.07953), at run time and of one term:
the input of each pixel gets a density that no image exceeds, whatever activation function is in
front.  A threshold of the same density loses less where values are not negative, since it keeps
more of a block that has more to say; it has to be found on samples, and promises no density.
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
from sparsepass.algorithms.row import Algorithm, Largest, Option, Packed
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["NM_INPUT"]

# Of blocks that are larger more is kept where it matters; the kernel keeps at most 8.
BLOCK = 16
KEPT = tuple(range(1, 9))


def refuse_nm_input(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_moments(layer, stats):
        return reason
    if stats.input is None or not drawn_of(stats).any():
        return "its input is zero on all samples"
    if layer.channels // layer.groups % BLOCK:
        return f"its channels are no whole blocks of {BLOCK}"
    if not settings(layer, stats, target):
        return "as many zeros as pay are there, or none do"
    return None


def nm_input_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return tuple(
        option_with(
            layer,
            at(layer, stats, kept),
            target,
            {"n": kept, "m": BLOCK},
            loss_of(layer, stats, kept).error,
        )
        for kept in settings(layer, stats, target)
    )


def settings(layer: Layer, stats: Stats, target: Target) -> tuple[int, ...]:
    """What is kept of a block where that is less than there is, and encoding the input pays."""
    assert stats.input is not None
    return tuple(
        kept
        for kept in KEPT
        if kept < BLOCK * (1 - stats.input.zeros_mean)
        and pays(layer, at(layer, stats, kept), target)
    )


def at(layer: Layer, stats: Stats, kept: int) -> Stats:
    """The statistics of what is left; no image has more than N of M."""
    found = stats.input
    assert found is not None
    zeros = 1 - kept_share(layer, stats, kept) * (1 - found.zeros_mean)
    left = with_zeros(stats, zeros)
    assert left.input is not None
    least = max(left.input.zeros_p10, 1 - kept / BLOCK)
    return replace(left, input=replace(left.input, zeros_p10=least))


def kept_share(layer: Layer, stats: Stats, kept: int) -> float:
    """The share of non-zeros that are kept."""
    drawn = drawn_of(stats)
    return stats.once(
        ("kept share", kept),
        lambda: np.count_nonzero(kept_of(layer, drawn, kept)) / np.count_nonzero(drawn),
    )


def kept_of(layer: Layer, drawn: Array, kept: int) -> Array:
    """Patches, (groups, taps, positions), of which the largest of each block are left."""
    channels = layer.channels // layer.groups
    blocks = drawn.reshape(layer.groups, channels // BLOCK, BLOCK, layer.taps // channels, -1)
    sizes = np.abs(blocks)
    least = np.partition(sizes, BLOCK - kept, axis=2)[:, :, BLOCK - kept, None]
    return np.where(sizes >= least, blocks, 0).reshape(drawn.shape)


def loss_of(layer: Layer, stats: Stats, kept: int) -> Loss:
    def find() -> Loss:
        drawn = drawn_of(stats)
        return found_loss(layer, stats, drawn - kept_of(layer, drawn, kept))

    return stats.once(("largest loss", kept), find)


def pack_nm_input(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    bias = loss_of(layer, stats, parameters["n"]).bias
    return pack_weight(replace(layer, bias=bias), stats, parameters)


def pack_weight(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    """A weight that stands for that of the layer, behind the cut of a setting."""
    return pack_with(layer, Largest(parameters["n"], parameters["m"]))


NM_INPUT = Algorithm(
    "nm-input", "lossy", refuse_nm_input, nm_input_options, pack_nm_input,
    op=CPO.op, before="KeepLargest", source="arXiv 2403.07953, arXiv 2104.08314", prices=CPO.name,
    statistics=prune_statistics, pack_weight=pack_weight,
)  # fmt: skip
