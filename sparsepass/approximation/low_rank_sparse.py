"""A weight as a matrix of low rank plus a sparse one, fitted in turn to what the other leaves.

W becomes L + S, at the cost tr (W - L - S) C (W - L - S)^T with C the second moments of what a row
reads.  For a given S the best L of rank r is U_r U_r^T (W - S), with the leading eigenvectors U_r
of (W - S) C (W - S)^T; the eigenvalues that are left out are what is lost, at every r.  For a given
L, S is W - L pruned (alternating minimisation of OATS, arXiv 2409.13652, and of HASSLE-free,
arXiv 2502.00899).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation.admm import support
from sparsepass.approximation.moments import damped
from sparsepass.approximation.refit import lost, refit

__all__ = ["LowRankSparse", "find_low_rank_sparse", "rank_costs"]

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Rounds at most, and the share of the cost that has to go for another one.
ROUNDS = 8
LEAST_GAIN = 0.01
# Conjugate gradients of a sparse weight that is only priced, see ``refit``.
STEPS = 8


@dataclass(frozen=True)
class LowRankSparse:
    """``last`` (rows, rank) times ``first`` (rank, taps), plus ``sparse`` (rows, taps).

    ``cost`` is the mean square by which the output, summed over rows, is off.
    """

    last: Doubles
    first: Doubles
    sparse: Doubles
    cost: float

    @property
    def low_rank(self) -> Doubles:
        """The product of the factors."""
        return self.last @ self.first


def rank_costs(weight: Floats, moments: Floats, mask: Mask) -> Doubles:
    """What is lost at rank 0, 1, ... beside a fit of the weights that ``mask`` keeps.

    It is about where ``find_low_rank_sparse`` begins, and so more than it loses.
    """
    exact, steady = weight.astype(np.float64), damped(moments)
    single = steady.astype(np.float32)
    sparse = refit(exact, mask, single, (exact @ steady).astype(np.float32), STEPS)
    energies = np.linalg.eigvalsh(spread(exact - sparse, steady))
    return np.append(0.0, np.cumsum(np.maximum(energies, 0.0)))[::-1]


def find_low_rank_sparse(weight: Floats, moments: Floats, rank: int, mask: Mask) -> LowRankSparse:
    """A sum of rank ``rank`` and as many other weights as ``mask`` has, (rows, taps).

    It begins with a fit of the weights that ``mask`` keeps, and never costs more than that alone.
    """
    exact, steady, kept = weight.astype(np.float64), damped(moments), int(np.count_nonzero(mask))
    best = completed(exact, steady, rank, refit(exact, mask, steady, exact @ steady))
    for _ in range(ROUNDS):
        rest = exact - best.low_rank
        (start,) = support(rest, steady, [kept])
        sparse = refit(start, start != 0, steady, rest @ steady)
        found, before = completed(exact, steady, rank, sparse), best
        best = min(best, found, key=lambda one: one.cost)
        if found.cost > (1 - LEAST_GAIN) * before.cost:
            break
    return best


def completed(weight: Doubles, moments: Doubles, rank: int, sparse: Floats) -> LowRankSparse:
    """The best of rank ``rank`` of what ``sparse`` leaves of the weight."""
    rest = weight - sparse
    _, vectors = np.linalg.eigh(spread(rest, moments))
    last = vectors[:, len(vectors) - rank :]
    first = last.T @ rest
    cost = float(lost(rest - last @ first, moments).sum())
    return LowRankSparse(last, first, sparse.astype(np.float64), cost)


def spread(weight: Doubles, moments: Doubles) -> Doubles:
    """The (rows, rows) second moments of the outputs."""
    return weight @ moments @ weight.T
