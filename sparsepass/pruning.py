"""The masks that pruning by magnitude would leave of a weight.

Weights of equal magnitude, zeros among them, go in a random order, so that a mask can have any
sparsity, also a smaller one than the weight has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array

__all__ = ["BLOCK", "Mask", "Ranking", "density", "rank"]

Mask = NDArray[np.bool_]

# Weights of a block, and of a group of N:M.
BLOCK = 4
# Magnitudes differ by more than this share of the largest, or count as equal; single precision has
# a thousand steps in it.
EQUAL = 1e-4
# Weights that thresholds are found from: sparsities are met to a tenth of a percent.
SAMPLED = 1 << 18
# Weights that are sorted at once: a weight may take most of the memory there is.
PART = 1 << 24


@dataclass(frozen=True)
class Ranking:
    """Weights by the order in which they go; the least ``keys`` first.

    ``thresholds`` are the keys below which 0, 1, ... 99 percent lie.
    """

    keys: Array
    thresholds: Array

    def mask(self, percent: int) -> Mask:
        """What is left where ``percent`` (0 to 99) of the weights are zero."""
        return self.keys >= self.thresholds[percent]

    def n_of_m(self, n: int) -> Mask:
        """The ``n`` largest of every ``BLOCK`` neighbouring taps of a filter."""
        rows = self.keys.reshape(len(self.keys), -1)
        parts = np.array_split(rows, 1 + rows.size // PART)
        masks = [joined(largest(split(part), n), part) for part in parts]
        return np.concatenate(masks).reshape(self.keys.shape)

    def tap_blocks(self, percent: int) -> Mask:
        """Blocks of 1x4 (neighbouring taps of a filter), of which ``percent`` are zero."""
        rows = self.keys.reshape(len(self.keys), -1)
        blocks = split(rows)
        sums = blocks.sum(axis=2, keepdims=True)
        kept = np.broadcast_to(sums >= np.quantile(sums, percent / 100), blocks.shape)
        return joined(kept, rows).reshape(self.keys.shape)


def density(mask: Mask) -> float:
    """The share of weights that are left."""
    return np.count_nonzero(mask) / max(mask.size, 1)


def rank(weight: Array, seed: int = 0) -> Ranking:
    """Rank the weights of a layer; seeded, so that two runs give the same masks."""
    rng = np.random.default_rng(seed)
    magnitude = np.abs(np.nan_to_num(weight))
    magnitude /= magnitude.max(initial=0.0) or np.float32(1)
    keys = magnitude + np.float32(EQUAL) * rng.random(weight.shape, np.float32)
    flat = keys.ravel()
    if flat.size > SAMPLED:
        flat = flat[rng.integers(0, flat.size, SAMPLED)]
    ordered = np.sort(flat)
    thresholds = ordered[np.arange(100) * ordered.size // 100]
    # Nothing goes below zero percent, whatever was sampled.
    thresholds[0] = 0.0
    return Ranking(keys, thresholds)


def largest(blocks: Array, n: int) -> Mask:
    """The ``n`` largest of each block."""
    return blocks >= np.sort(blocks, axis=2)[:, :, BLOCK - n, None]


def split(rows: Array) -> Array:
    """Each row in blocks; the last is filled with what goes first."""
    missing = -rows.shape[1] % BLOCK
    filled = np.pad(rows, ((0, 0), (0, missing))) if missing else rows
    return filled.reshape(len(rows), -1, BLOCK)


def joined(blocks: Mask, rows: Array) -> Mask:
    return blocks.reshape(len(rows), -1)[:, : rows.shape[1]]
