"""Weights of a layer, or of the chain that it became, in few bits: rounded by what they read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsepass.approximation import Levels, find_levels, repeated, rounded
from sparsepass.bits import Bits
from sparsepass.layer import Array
from sparsepass.sparsity import Patches, Stats

__all__ = ["Coded", "CodedRows", "code", "code_rows", "digest_of", "whole"]

Doubles = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class CodedRows:
    """A weight, one row a filter, as codes of 4 bits, numbers of levels, or of 8, whole numbers."""

    levels: Levels
    codes: Codes

    @property
    def scales(self) -> Array:
        """A scale for each filter."""
        return self.levels.scales.astype(np.float32)

    @property
    def table(self) -> Array | None:
        """The levels where codes are their numbers, None where codes are levels themselves."""
        return self.levels.levels.astype(np.float32) if self.is_small else None

    def values(self, weight: Array) -> Doubles:
        """What the codes stand for; zeros of ``weight`` stay zeros."""
        return np.where(weight != 0, self.levels.values(self.codes), 0.0)

    @property
    def stored(self) -> NDArray[np.int8 | np.uint8]:
        """Codes as a file holds them."""
        if self.is_small:
            return self.codes.astype(np.uint8)
        return (self.codes - len(self.levels.levels) // 2).astype(np.int8)

    @property
    def bits(self) -> Bits:
        """Bits of a code."""
        return 4 if self.is_small else 8

    @property
    def is_small(self) -> bool:
        """Whether a code has 4 bits."""
        return len(self.levels.levels) <= 16


@dataclass(frozen=True)
class Coded:
    """The weights of a layer in the order of a chain.

    ``shift`` is what the means of its outputs lose, None where they are not known, and ``lost`` the
    share of their variance, without statistics that of the weights.
    """

    weights: tuple[CodedRows, ...]
    shift: Doubles | None
    lost: float


def code(rows: Sequence[Array], bits: Bits, stats: Stats) -> Coded:
    """Round the weights of a chain, one row a filter each; once for the same weights."""
    key = "coded", bits, digest_of(rows)
    return stats.once(key, lambda: coded_layer(rows, bits, stats.patches))


def digest_of(rows: Sequence[Array]) -> str:
    """What tells weights of a chain from others."""
    return hashlib.sha256(b"".join(part.tobytes() for part in rows)).hexdigest()


def coded_layer(rows: Sequence[Array], bits: Bits, patches: Patches | None) -> Coded:
    found, values = coded_chain(rows, bits, patches)
    if patches is None:
        lost = max(share_of(part - one, one) for part, one in zip(values, rows, strict=True))
        return Coded(tuple(found), None, lost)
    groups, taps = patches.mean.shape
    exact, changed = whole(rows, groups, taps), whole(values, groups, taps)
    change = changed - exact
    shift = -np.einsum("gft,gt->gf", change, patches.mean).reshape(-1)
    weights = patches.covariance.astype(np.float64)
    lost, kept = (float(np.sum((part @ weights) * part)) for part in (change, exact))
    return Coded(tuple(found), shift, lost / kept if kept > 0 else 0.0)


def share_of(change: Doubles, exact: Array) -> float:
    kept = float(np.sum(np.square(exact, dtype=np.float64)))
    return float(np.sum(change**2)) / kept if kept > 0 else 0.0


def whole(weights: Sequence[Doubles | Array], groups: int, taps: int) -> Doubles:
    """The weight that a chain computes with, (groups, filters, taps)."""
    one = weights[0] if len(weights) == 1 else merged(weights, taps)
    return one.reshape(groups, -1, taps).astype(np.float64)


def coded_chain(
    weights: Sequence[Array], bits: Bits, patches: Patches | None
) -> tuple[list[CodedRows], list[Doubles]]:
    """Levels and codes of each weight of a chain, and what they stand for."""
    found: list[CodedRows] = []
    values: list[Doubles] = []
    for weight in weights:
        moments = None if patches is None else moments_of(weight, values, patches)
        rows = code_rows(weight, bits, moments)
        found.append(rows)
        values.append(rows.values(weight))
    return found, values


def code_rows(weight: Array, bits: Bits, moments: Doubles | None) -> CodedRows:
    """Round one weight, one row a filter; ``moments`` are (groups, taps, taps)."""
    if moments is None:
        levels = find_levels(weight, bits, np.ones((1, weight.shape[1])))
        return CodedRows(levels, levels.codes(weight))
    groups = len(moments)
    diagonals = np.repeat(np.diagonal(moments, axis1=1, axis2=2), len(weight) // groups, axis=0)
    levels = find_levels(weight, bits, diagonals)
    parts = [
        rounded(Levels(scales, levels.levels), rows, covariance)
        for scales, rows, covariance in zip(
            np.split(levels.scales, groups), np.split(weight, groups), moments, strict=True
        )
    ]
    scales = np.concatenate([part.scales for part, _ in parts])
    codes = np.concatenate([codes for _, codes in parts])
    return CodedRows(Levels(scales, levels.levels), codes)


def moments_of(weight: Array, before: Sequence[Doubles], patches: Patches) -> Doubles:
    """Second moments of what a weight reads, behind the weights before it in its chain."""
    if not before and weight.shape[1] == patches.covariance.shape[1]:
        return patches.covariance.astype(np.float64)
    features = merged(before, patches.covariance.shape[1])
    moments = features @ patches.covariance[0].astype(np.float64) @ features.T
    inputs = weight.shape[1]
    slices = len(moments) // inputs
    by_slice = moments.reshape(inputs, slices, inputs, slices)
    return np.einsum("isjs->ij", by_slice)[None] / slices


def merged(weights: Sequence[Doubles | Array], taps: int) -> Doubles:
    """What the first weights of a chain make of a patch: each acts on all slices left to it."""
    features = np.eye(taps)
    for weight in weights:
        features = repeated(weight, len(features) // weight.shape[1]) @ features
    return features
