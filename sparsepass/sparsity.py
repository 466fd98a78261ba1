"""Where a layer is sparse: statistics of its weight, and of its input on samples.

Weight zeros are looked at in the units that kernels work in (single weights, aligned N:M blocks,
register blocks, kernel masks) and as a spectrum.  What samples measure is stored here and taken
in ``calibration``.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Layer

__all__ = [
    "ActivationStats", "Moments", "Patches", "Spectrum", "Statistic", "Stats", "WeightStats",
    "weight_stats", "with_spectrum",
]  # fmt: skip

Statistic = Literal["output moments", "input moments"]
"""What is measured of a layer only where an algorithm asks for it."""

Mask = NDArray[np.bool_]
T = TypeVar("T")

# Bytes of a mask are added up eight (or four) at a time as one integer, so M is 4 or 8.
SERIES = ((1, 4), (2, 4), (1, 8), (2, 8), (4, 8))

# The spectrum of a weight costs n^3 for a smaller side of n: 0.1 s at 1024, seconds at 4096.
# Ranks are chosen from the spectrum of the outputs, so larger ones are left out.
LARGEST_SPECTRUM = 1024


@dataclass(frozen=True)
class WeightStats:
    """Structure of the zeros of one weight, shape (filters, channels / groups, *kernel).

    ``density`` is the share of non-zeros.  ``row_balance`` is the largest number of non-zeros
    of a filter over the mean (0 for a weight of zeros).  ``nm`` maps "N:M" to the share of aligned
    blocks of M taps with at most N non-zeros.  ``blocks`` maps "4x1" (4 filters, one tap) and "1x4"
    to the fill of the non-empty blocks.  ``patterns`` counts distinct kernel masks (1 for 1x1).
    ``rank_energy`` maps "90", "99" to the rank that holds that percentage of the energy of the
    (filters, taps) matrix, see ``with_spectrum``.
    """

    density: float
    empty_filters: int
    empty_channels: int
    row_balance: float
    nm: dict[str, float]
    blocks: dict[str, float]
    patterns: int
    rank_energy: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class ActivationStats:
    """Zeros in a layer's input over the samples (shares, 0 to 1).

    ``dead_channels`` is the mean share of channels that are zero in a whole image,
    ``dense_groups`` the share of 4-row groups with at least 3 non-zeros, ``empty_groups`` of those
    with none (CPS compresses by these, arXiv 2104.08314).  ``samples`` counts images.
    """

    zeros_mean: float
    zeros_p10: float
    zeros_p90: float
    dead_channels: float
    dense_groups: float
    empty_groups: float
    samples: int


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a covariance, largest first and not negative, and eigenvectors as columns."""

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """First and second moments of a layer's output before its epilogue, over the samples.

    ``mean`` is (filters,), ``covariance`` (filters, filters), in float64; ``positions`` is how many
    output positions they were taken over.  ``energy`` includes the mean: what a relative error is
    relative to.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    positions: int

    @property
    def energy(self) -> float:
        """Mean square of the output, summed over filters."""
        return float(np.trace(self.covariance) + self.mean @ self.mean)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The eigen-decomposition of the covariance, computed once: 9 n^3 operations."""
        values, vectors = np.linalg.eigh(self.covariance)
        return Spectrum(np.maximum(values[::-1], 0.0), vectors[:, ::-1])


@dataclass(frozen=True)
class Patches:
    """First and second moments of a layer's input patches: what one output position reads.

    A patch has a layer's ``taps`` in the order of its weight, padding is zeros.  ``mean`` is
    (groups, taps), ``covariance`` (groups, taps, taps); they were summed in float64.  ``drawn`` are
    some patches themselves, (groups, taps, positions).  Layers that read one value in the same way
    share these arrays.
    """

    mean: NDArray[np.float64]
    covariance: Array
    positions: int
    drawn: Array | None = None

    def output_energy(self, weight: Array, bias: Array) -> float:
        """Mean square of the output of a layer on these patches, summed over filters."""
        groups, taps = self.mean.shape
        rows = weight.reshape(groups, -1, taps)
        spread = np.sum((rows @ self.covariance) * rows, dtype=np.float64)
        means = np.einsum("gft,gt->gf", rows, self.mean).reshape(-1) + bias
        return float(spread + means @ means)


@dataclass(frozen=True)
class Stats:
    """All that is measured of one layer; ``input`` only where samples were given.

    ``output`` is the statistic "output moments", ``patches`` is "input moments".  ``known`` is what
    algorithms found of these, by names of their own, see ``once``.
    """

    weight: WeightStats
    input: ActivationStats | None = None
    output: Moments | None = None
    patches: Patches | None = None
    known: dict[Hashable, object] = field(
        default_factory=dict[Hashable, object], repr=False, compare=False
    )

    def once(self, name: Hashable, compute: Callable[[], T]) -> T:
        """What ``compute`` returns, computed when it is asked for the first time."""
        if name not in self.known:
            self.known[name] = compute()
        return cast(T, self.known[name])


def weight_stats(layer: Layer) -> WeightStats:
    """Measure the weight of ``layer``, of any rank and any number of groups."""
    rows = layer.weight.reshape(layer.filters, -1)
    mask = rows != 0
    per_filter = np.count_nonzero(mask, axis=1)
    kept = int(per_filter.sum())
    return WeightStats(
        density=kept / max(mask.size, 1),
        empty_filters=int(np.count_nonzero(per_filter == 0)),
        empty_channels=count_empty_channels(mask, layer),
        row_balance=float(per_filter.max() * layer.filters / kept) if kept else 0.0,
        nm={f"{n}:{m}": share for (n, m), share in zip(SERIES, series_fit(mask), strict=True)},
        blocks={"4x1": fill_of_filter_blocks(mask, layer.groups), "1x4": fill_of_tap_blocks(mask)},
        patterns=count_patterns(mask, layer),
    )


def with_spectrum(stats: WeightStats, layer: Layer) -> WeightStats:
    """``stats`` with the ranks that hold the energy of the weight, of no use but to inform.

    There are none where the matrix is larger than ``LARGEST_SPECTRUM`` on both sides or is not
    finite.
    """
    return replace(stats, rank_energy=rank_energy(layer.weight.reshape(layer.filters, -1)))


def count_empty_channels(mask: Mask, layer: Layer) -> int:
    """Input channels that no weight reads."""
    read = np.logical_or.reduce(mask.reshape(layer.groups, -1, mask.shape[1]), axis=1)
    per_channel = read.reshape(layer.channels, -1).any(axis=1)
    return int(np.count_nonzero(~per_channel))


def series_fit(mask: Mask) -> tuple[float, ...]:
    counts = {m: block_counts(mask, m) for m in (4, 8)}
    return tuple(float(np.mean(counts[m] <= n)) for n, m in SERIES)


def block_counts(mask: Mask, size: int) -> NDArray[np.uint32] | NDArray[np.uint64]:
    """Non-zeros in each aligned block of ``size`` taps; a short last block counts as padded."""
    padded = np.ascontiguousarray(pad_columns(mask, size))
    if size == 4:
        return (padded.view(np.uint32) * np.uint32(0x01010101)) >> np.uint32(24)
    return (padded.view(np.uint64) * np.uint64(0x0101010101010101)) >> np.uint64(56)


def pad_columns(mask: Mask, size: int) -> Mask:
    missing = -mask.shape[-1] % size
    return np.pad(mask, ((0, 0), (0, missing))) if missing else mask


def fill_of_tap_blocks(mask: Mask) -> float:
    blocks = np.ascontiguousarray(pad_columns(mask, 4)).view(np.uint32)
    return fill(mask, int(np.count_nonzero(blocks)))


def fill_of_filter_blocks(mask: Mask, groups: int) -> float:
    """Blocks of 4 filters do not cross a group: its filters read other channels."""
    by_group = mask.reshape(groups, -1, mask.shape[1])
    filters = by_group.shape[1]
    touched = sum(
        int(np.count_nonzero(np.logical_or.reduce(by_group[:, first : first + 4], axis=1)))
        for first in range(0, filters, 4)
    )
    return fill(mask, touched)


def fill(mask: Mask, blocks: int) -> float:
    return float(np.count_nonzero(mask)) / (4 * blocks) if blocks else 0.0


def count_patterns(mask: Mask, layer: Layer) -> int:
    """Distinct masks of one kernel, over all filters and channels."""
    if layer.is_pointwise or mask.all():
        return 1
    taps = int(np.prod(layer.kernel))
    kernels = mask.reshape(-1, taps)
    if taps > 16:
        packed = np.packbits(kernels, axis=1)
        return len(np.unique(packed.view(np.dtype((np.void, packed.shape[1])))))
    codes = np.zeros(len(kernels), np.uint16)
    for tap in range(taps):
        codes |= kernels[:, tap].astype(np.uint16) << np.uint16(tap)
    seen = np.zeros(1 << taps, np.bool_)
    seen[codes] = True
    return int(np.count_nonzero(seen))


def rank_energy(rows: Array) -> dict[str, int]:
    """Eigenvalues of the Gram matrix of the smaller side are the squared singular values."""
    if min(rows.shape) > LARGEST_SPECTRUM or not np.isfinite(rows).all():
        return {}
    # Shares do not depend on the scale, and squares of the largest floats would be infinite.
    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(initial=0.0))[1])
    gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    energies = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
    held = np.cumsum(energies, dtype=np.float64)
    # An all-zero weight holds its energy at rank 0.
    total = held[-1] if held.size else 0.0
    return {
        str(percent): int(np.searchsorted(held, percent / 100 * total)) + 1 if total > 0 else 0
        for percent in (90, 99)
    }
