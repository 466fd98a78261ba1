"""The alternating direction method of multipliers, as a search for the weights to keep.

W minimises tr (W - W0) H (W - W0)^T subject to its having so many non-zeros: of two copies of it
one is the minimum of a quadratic function, the other the projection on the sparse weights, and a
penalty that grows draws them together (ALPS, arXiv 2406.07831).  The penalty grows in a few steps,
each with the inverse of H + penalty: all searches share these, and an iteration is one product.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

_lapack = cast(Any, lapack)  # its types are partial

__all__ = ["searched", "support"]

Floats = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
Projection = Callable[[Floats], Singles]

# The penalties, as shares of the mean variance: at the last one the support has settled.
PENALTIES = np.geomspace(0.01, 1.0, 8)
# Iterations with each.
STEPS = 4


@dataclass(frozen=True)
class Quadratic:
    """The least of |W - W0|^2 in H, plus penalty / 2 |W - V|^2: (W0 H + penalty V) ``inverse``.

    ``fixed`` is W0 H ``inverse``, (rows, taps).
    """

    penalty: np.float32
    inverse: Singles
    fixed: Singles


def support(weight: Floats, moments: Floats, kept: Iterable[int]) -> list[Singles]:
    """Weights with each number of non-zeros of ``kept``, of all rows; ``searched`` says more."""
    return searched(weight, moments, [partial(projected, count=count) for count in kept])


def searched(weight: Floats, moments: Floats, projections: Iterable[Projection]) -> list[Singles]:
    """Sparse weights of each kind, where a projection gives the nearest of that kind.

    They are near the best that their support allows.  What a row reads is scaled to a variance of
    1: then the nearest are about the best.  Each takes 32 rows taps^2 multiply-adds.
    """
    exact = moments.astype(np.float64)
    scale = np.sqrt(np.maximum(np.diagonal(exact), np.finfo(np.float64).tiny))
    scaled = exact / np.outer(scale, scale)
    target = (weight @ exact) / scale
    start = (weight * scale).astype(np.float32)
    problems = [
        quadratic(scaled, target, penalty) for penalty in PENALTIES * scaled.trace() / len(scaled)
    ]
    return [
        (search(start, problems, project) / scale).astype(np.float32) for project in projections
    ]


def quadratic(
    moments: NDArray[np.float64], target: NDArray[np.float64], penalty: float
) -> Quadratic:
    factor, _ = _lapack.dpotrf(moments + penalty * np.eye(len(moments)), lower=1)
    half, _ = _lapack.dpotri(factor, lower=1)
    below = np.tril(half, -1)
    inverse = (below + below.T + np.diag(np.diagonal(half))).astype(np.float32)
    return Quadratic(np.float32(penalty), inverse, (target @ inverse).astype(np.float32))


def search(weight: Singles, problems: Iterable[Quadratic], project: Projection) -> Singles:
    """One search from ``weight`` on, of scaled weights."""
    sparse = project(weight)
    multiplier = np.zeros_like(weight)
    for problem in problems:
        for _ in range(STEPS):
            smooth = problem.fixed + (problem.penalty * sparse - multiplier) @ problem.inverse
            sparse = project(smooth + multiplier / problem.penalty)
            multiplier += problem.penalty * (smooth - sparse)
    return sparse


def projected(weight: Floats, count: int) -> Singles:
    """The ``count`` weights of largest magnitude, and zeros."""
    if count >= weight.size:
        return weight.astype(np.float32)
    sizes = np.abs(weight)
    least = np.partition(sizes, -count, axis=None)[-count] if count else np.inf
    return np.where(sizes >= least, weight, 0).astype(np.float32)
