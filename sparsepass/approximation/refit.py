"""Least squares on a fixed support, of all rows of a weight at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lost", "refit"]

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

# The residual that is left of a gradient, as a share: errors are then right to its square.
SMALL = 1e-4
MOST_STEPS = 200


def refit(
    start: Floats, mask: Mask, moments: Floats, products: Floats, steps: int = MOST_STEPS
) -> Floats:
    """The weight (rows, taps) with zeros outside ``mask`` of least mean square error.

    ``moments`` are E x x^T of what is read, (taps, taps), and ``products`` E y x^T with what is to
    be computed of it, (rows, taps): W minimises E |W x - y|^2, whose gradient is W moments -
    products.  Conjugate gradients with the diagonal as preconditioner begin at ``start``,
    and go on until the gradient vanishes or for ``steps``, all in the precision of ``moments``.
    """
    precision, zero = moments.dtype, moments.dtype.type(0)
    scale = np.maximum(np.diagonal(moments), np.finfo(precision).tiny)
    weight = np.where(mask, start, zero).astype(precision)
    residual = np.where(mask, products.astype(precision) - weight @ moments, zero)
    target = SMALL**2 * dots(np.where(mask, products, 0.0), products / scale)
    direction = residual / scale
    size = dots(residual, direction)
    for _ in range(steps):
        if np.all(size <= target):
            break
        image = np.where(mask, direction @ moments, zero)
        curvature = dots(direction, image)
        step = divided(size, curvature)
        weight += step[:, None] * direction
        residual -= step[:, None] * image
        scaled = residual / scale
        previous, size = size, dots(residual, scaled)
        direction = scaled + divided(size, previous)[:, None] * direction
    return weight


def lost(change: Floats, moments: Floats) -> Floats:
    """Mean square of ``change`` x, (rows,), for a change of a weight, (rows, taps)."""
    return dots(change @ moments, change)


def dots(one: Floats, other: Floats) -> Floats:
    return np.einsum("rt,rt->r", one, other)


def divided(one: Floats, other: Floats) -> Floats:
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)
