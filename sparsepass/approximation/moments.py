"""Second moments of inputs that have roots and inverses, whatever rounding left of them.

Where inputs are all alike, as in smooth pictures, or hardly more than zero, moments in float32 are
differences of what is nearly equal: some of their eigenvalues may be negative.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["damped", "positive", "square_root"]

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# The share of the mean variance that is added to each: it steadies the inverse, and stands for what
# other images than the samples would show.
DAMPING = 1e-3
# What float32 holds no digits of is nothing.
LEAST = float(np.finfo(np.float32).tiny)


def damped(moments: Floats) -> Doubles:
    """Moments with a little added to the diagonal, so that they have a Cholesky factor."""
    steady = moments.astype(np.float64)
    mean = float(np.trace(steady)) / len(steady)
    if mean < LEAST:
        return np.eye(len(steady))
    found = steady + DAMPING * mean * np.eye(len(steady))
    return found if is_definite(found) else positive(moments) + (found - steady)


def positive(moments: Floats) -> Doubles:
    """Moments without what is negative of them."""
    root = square_root(moments)
    return root @ root


def square_root(moments: Floats) -> Doubles:
    """The symmetric root of what is positive of ``moments``."""
    values, vectors = np.linalg.eigh(moments.astype(np.float64))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T, np.float64)


def is_definite(moments: Doubles) -> bool:
    try:
        np.linalg.cholesky(moments)
    except np.linalg.LinAlgError:
        return False
    return True
