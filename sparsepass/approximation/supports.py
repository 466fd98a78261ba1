"""Which weights to keep at each of several densities, and what the others cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation.admm import support
from sparsepass.approximation.moments import damped
from sparsepass.approximation.obs import Trace, removals
from sparsepass.approximation.refit import lost, refit

__all__ = [
    "MOST_TAPS_OF_A_TRACE", "Supports", "find_supports", "priced_supports", "supports_of_trace",
]  # fmt: skip

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

# Up to so many taps weights are removed one by one: rows d^3 / 3 multiply-adds are seconds there
# and give all densities.  Beyond, a search for each density costs rows d^2.
MOST_TAPS_OF_A_TRACE = 600
# Conjugate gradients that price a support, from weights that are near the best: see ``refit``.
STEPS = 4


@dataclass(frozen=True)
class Supports:
    """``bits`` of weights, (rows, taps): bit n says that density number n keeps it; at most 16.

    ``costs`` are the mean squares by which the output, summed over rows, is off at each density.
    """

    bits: NDArray[np.uint16]
    costs: tuple[float, ...]

    def mask(self, number: int) -> Mask:
        """What density ``number``, from 0, keeps."""
        return (self.bits >> number) & 1 > 0


def find_supports(weight: Floats, moments: Floats, kept: Sequence[int]) -> Supports:
    """Supports of ``kept`` weights of all rows together, for each of these numbers."""
    steady = damped(moments)
    if weight.shape[1] <= MOST_TAPS_OF_A_TRACE:
        return supports_of_trace(removals(weight, steady), kept)
    return priced_supports(weight, steady, support(weight, steady, kept))


def priced_supports(weight: Floats, steady: Floats, sparse: Sequence[Floats]) -> Supports:
    """The supports of ``sparse`` weights, with what they cost where what they keep is fitted."""
    exact, masks = weight.astype(np.float64), [found != 0 for found in sparse]
    moments, products = steady.astype(np.float32), (exact @ steady).astype(np.float32)
    costs = tuple(
        float(lost(refit(found, mask, moments, products, STEPS) - exact, moments).sum())
        for found, mask in zip(sparse, masks, strict=True)
    )
    return Supports(bits_of(masks), costs)


def supports_of_trace(trace: Trace, kept: Sequence[int]) -> Supports:
    """Each row in the order of its own removals, of which the cheapest of all rows come first."""
    # A removal comes after those of its row before it, also where it is cheaper.
    rising = np.maximum.accumulate(trace.costs, axis=1).reshape(-1)
    order = np.argsort(rising, kind="stable")
    removed = np.append(0.0, np.cumsum(trace.costs.reshape(-1)[order], dtype=np.float64))
    size = trace.order.size
    place = np.empty(size, np.intp)
    place[order] = np.arange(size)
    masks: list[Mask] = []
    for count in kept:
        mask = np.empty(trace.order.shape, np.bool_)
        np.put_along_axis(mask, trace.order, (place >= size - count).reshape(mask.shape), axis=1)
        masks.append(mask)
    return Supports(bits_of(masks), tuple(float(removed[size - count]) for count in kept))


def bits_of(masks: Sequence[Mask]) -> NDArray[np.uint16]:
    bits = np.zeros(masks[0].shape, np.uint16)
    for number, mask in enumerate(masks):
        bits |= mask.astype(np.uint16) << number
    return bits
