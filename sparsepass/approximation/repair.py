"""Repair of channel statistics: rows scaled so that outputs vary as much as is wanted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["repaired"]

Floats = NDArray[np.floating[Any]]


def repaired(
    weight: Floats, covariance: Floats, variances: Floats, share: float = 1.0
) -> NDArray[np.float64]:
    """``weight`` (rows, taps) with each row scaled so that w C w^T is that of ``variances``.

    A ``share`` below 1 goes as far of the way, on a logarithmic scale.  Rows whose outputs do not
    vary stay.
    """
    exact = weight.astype(np.float64)
    found = np.einsum("rt,rt->r", exact @ covariance, exact)
    ratio = np.divide(variances, found, out=np.ones(len(exact)), where=found > 0)
    return exact * (np.maximum(ratio, 0.0) ** (share / 2))[:, None]
