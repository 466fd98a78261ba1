"""Blocks of zeros: a weight whose neighbours stay or become zero together.

Neighbours are input channels of one filter and tap, in aligned blocks of four; a short last block
counts as padded with zeros.  The blocks of the largest sums of squares are the projection on the
weights of so many blocks, so that a search by the outputs (``admm``) can keep to them (block
pruning: Optimal Brain Compression, arXiv 2208.11580).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation.admm import searched
from sparsepass.approximation.moments import damped
from sparsepass.approximation.supports import Supports, priced_supports

__all__ = ["BLOCK", "find_blocks"]

Floats = NDArray[np.floating[Any]]

# Channels of a block: int8 kernels multiply and add four neighbours in one instruction.
BLOCK = 4


def find_blocks(weight: Floats, moments: Floats, channels: int, kept: Sequence[int]) -> Supports:
    """Supports of blocks that hold at most ``kept`` weights of all rows, for each number of it.

    Taps of a row are ``channels`` times a kernel.
    """
    steady = damped(moments)
    projections = [partial(projected, channels=channels, count=count) for count in kept]
    return priced_supports(weight, steady, searched(weight, steady, projections))


def projected(weight: Floats, channels: int, count: int) -> NDArray[np.float32]:
    """The largest blocks of a weight (rows, taps), ``count`` weights at most, and zeros."""
    starts = np.arange(0, channels, BLOCK)
    sizes = np.diff(starts, append=channels)
    squares = np.square(weight).reshape(len(weight), channels, -1)
    sums = np.add.reduceat(squares, starts, axis=1)
    order = np.argsort(-sums, axis=None)
    held = np.cumsum(np.broadcast_to(sizes[:, None], sums.shape).reshape(-1)[order])
    kept = np.zeros(sums.size, np.bool_)
    kept[order[held <= count]] = True
    mask = np.repeat(kept.reshape(sums.shape), sizes, axis=1).reshape(weight.shape)
    return np.where(mask, weight, 0).astype(np.float32)
