"""Least squares on the first n of a sequence of linear features of an input, for every n at once.

Features are rows of a matrix Z: z = Z x.  The best map of the first n of them to outputs y = W x
loses the energy of y that they do not explain.  With the Cholesky factor of the features' moments
Z C Z^T, in their order, what each feature explains besides those before it is one row of the
solution: one decomposition gives the error of every n, and two triangular solves the map.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation.moments import positive, square_root

__all__ = ["NestedFit", "leading_features", "nested_fit", "repeated", "slice_features"]

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# What is added to the variance of each feature, as a share: features that depend on others, to the
# rounding of moments in float32, get maps of a bounded size.
DAMPING = 1e-6


def slice_features(weight: Floats, moments: Floats, slices: int) -> Doubles:
    """Features of one slice of a patch, of which all have the same, see ``leading_features``.

    The taps of ``weight``, (outputs, taps), are (inputs of a slice, slices).  What enters of
    ``moments``, (taps, taps), is their mean over slices.
    """
    outputs, taps = weight.shape
    inputs = taps // slices
    unfolded = weight.reshape(outputs, inputs, slices).swapaxes(0, 1).reshape(inputs, -1)
    by_slice = moments.reshape(inputs, slices, inputs, slices)
    return leading_features(unfolded, np.einsum("isjs->ij", by_slice) / slices)


def repeated(features: Floats, slices: int) -> Doubles:
    """Features of a slice as features of a patch: each in every slice, one after the other."""
    return np.asarray(np.kron(features, np.eye(slices)), np.float64)


def leading_features(unfolded: Floats, moments: Floats) -> Doubles:
    """Features of an input in the order of what they matter to the outputs, all of them, as rows.

    ``unfolded`` is (inputs, anything): what outputs do with each input, in one place and another.
    ``moments`` are the (inputs, inputs) second moments of the inputs, centred.  The first r rows
    span the best r features where the places do not depend on each other (higher-order SVD in the
    metric of the data).
    """
    root, exact = square_root(moments), unfolded.astype(np.float64)
    energies = exact @ exact.T
    _, vectors = np.linalg.eigh(root @ energies @ root)
    rows = vectors[:, ::-1].T @ root @ energies
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return rows / np.maximum(lengths, tiny())


@dataclass(frozen=True)
class NestedFit:
    """Maps of the first n features to the outputs of ``weight``, for every n.

    ``lower`` is the Cholesky factor of the moments of the features, scaled by ``scales``;
    ``explained``, (features, outputs), is what each feature adds to those before it: its squares
    are energies.
    """

    scales: Doubles
    lower: Doubles
    explained: Doubles

    @cached_property
    def energies(self) -> Doubles:
        """What the first 0, 1, ... features explain of the mean square of the outputs."""
        return np.append(0.0, np.cumsum(np.square(self.explained).sum(axis=1)))

    def covariance(self, count: int) -> Doubles:
        """The (outputs, outputs) covariance of what the first ``count`` features explain."""
        part = self.explained[:count]
        return part.T @ part

    def map(self, count: int) -> Doubles:
        """The least-squares map of the first ``count`` features, (outputs, count)."""
        upper = self.lower[:count, :count].T
        return np.linalg.solve(upper, self.explained[:count]).T / self.scales[:count]


def nested_fit(weight: Floats, moments: Floats, features: Floats) -> NestedFit:
    """Fit ``features``, (features, taps), to the outputs of ``weight``, (outputs, taps).

    What rounding left that is negative of ``moments`` is left out.
    """
    exact, steady = features.astype(np.float64), moments.astype(np.float64)
    try:
        return fitted(weight, steady, exact)
    except np.linalg.LinAlgError:
        return fitted(weight, positive(steady), exact)


def fitted(weight: Floats, moments: Doubles, features: Doubles) -> NestedFit:
    images = features @ moments
    gram = images @ features.T
    scales = np.sqrt(np.maximum(np.diagonal(gram), tiny()))
    steady = gram / np.outer(scales, scales)
    steady[np.diag_indices_from(steady)] += DAMPING
    lower = np.asarray(np.linalg.cholesky((steady + steady.T) / 2), np.float64)
    products = images @ weight.astype(np.float64).T / scales[:, None]
    return NestedFit(scales, lower, np.asarray(np.linalg.solve(lower, products), np.float64))


def tiny() -> float:
    return float(np.finfo(np.float64).tiny)
