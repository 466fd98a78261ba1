"""Series of N:M terms: pruning to a pattern that structured-sparse hardware runs.

A weight becomes a sum of terms with N non-zeros in every M neighbouring input channels of a tap
(TASD, arXiv 2403.07953).  Which those are is searched by what the outputs do, and what is kept is
fitted to them, as in ``prune``.  A series of mixed M reaches densities that no single term of a
small M has, and its larger blocks choose more freely.  Here the terms are one weight with zeros:
the kernel has no use for the pattern, so that ``prune`` gives less error in the same time.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sparsepass.algorithms.prune import (
    LayerSupports,
    each_group,
    fitted_on,
    pack_weight,
    prune_statistics,
    refuse_moments,
)
from sparsepass.algorithms.row import Algorithm, Option, Payload, Term
from sparsepass.algorithms.weight_sparse import SPMM, spmm_work
from sparsepass.approximation import Series, find_series, series_terms
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["NM", "series_of", "text_of"]

# Whole series; each prefix of one is offered too.  At most 16 in all, see ``Supports``.
SERIES: tuple[Series, ...] = (
    ((1, 8), (4, 16)),
    ((1, 4), (1, 8)),
    ((2, 8), (1, 8)),
    ((2, 8), (4, 16)),
    ((1, 4), (2, 8)),
    ((2, 4), (1, 8)),
    ((4, 8), (1, 8)),
)


def refuse_nm(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_moments(layer, stats):
        return reason
    if not settings(layer):
        return "no series has fewer non-zeros: few channels, or many zeros already"
    return None


def nm_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    supports = supports_of(layer, stats)
    return tuple(
        Option(
            spmm_work(replace(layer, weight=supports.mask(layer, number)), target),
            parameters_of(series),
            supports.errors[number],
        )
        for number, series in enumerate(settings(layer))
    )


def approximate_nm(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    series = series_of(parameters)
    return stats.once(("series", series), lambda: fitted(layer, stats, series))


def fitted(layer: Layer, stats: Stats, series: Series) -> tuple[Array, Array]:
    mask = supports_of(layer, stats).mask(layer, settings(layer).index(series))
    return fitted_on(layer, stats, mask)


def supports_of(layer: Layer, stats: Stats) -> LayerSupports:
    every, channels = settings(layer), layer.weight.shape[1]
    return stats.once(
        "series",
        lambda: each_group(
            layer, stats, lambda weight, moments: find_series(weight, moments, channels, every)
        ),
    )


def settings(layer: Layer) -> tuple[Series, ...]:
    """Series of fewer non-zeros than the layer has, the fewest first, with blocks that fit it."""
    had, channels = np.count_nonzero(layer.weight) / layer.weight.size, layer.weight.shape[1]
    prefixes = {series[:length] for series in SERIES for length in range(1, len(series) + 1)}
    fitting = (series for series in prefixes if density(series) < had and series[-1][1] <= channels)
    return tuple(sorted(fitting, key=lambda series: (density(series), series)))


def density(series: Series) -> float:
    return math.fsum(n / m for n, m in series)


def parameters_of(series: Series) -> dict[str, int]:
    numbered = enumerate(series, start=1)
    return {key: value for i, (n, m) in numbered for key, value in ((f"n{i}", n), (f"m{i}", m))}


def series_of(parameters: Mapping[str, int]) -> Series:
    """The series that parameters n1, m1, n2, m2, ... stand for."""
    numbers = range(1, len(parameters) // 2 + 1)
    return tuple((parameters[f"n{i}"], parameters[f"m{i}"]) for i in numbers)


def text_of(series: Series) -> str:
    """``2:4 + 1:8``."""
    return " + ".join(f"{n}:{m}" for n, m in series)


def pack_nm(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Payload:
    weight, bias = approximate_nm(layer, stats, parameters)
    return pack_weight(replace(layer, weight=weight, bias=bias), stats, parameters)


def terms_of(layer: Layer, parameters: Mapping[str, int]) -> tuple[Term, ...]:
    """The terms of a weight that has the pattern of the series."""
    rows, series = layer.weight.reshape(layer.filters, -1), series_of(parameters)
    found = series_terms(rows, layer.weight.shape[1], series)
    return tuple(
        Term(np.ascontiguousarray(term.reshape(layer.weight.shape), np.float32), n, m)
        for term, (n, m) in zip(found, series, strict=True)
    )


NM = Algorithm(
    "nm", "lossy", refuse_nm, nm_options, pack_nm,
    op=SPMM.op, paired=True, source="arXiv 2403.07953", prices=SPMM.name,
    statistics=prune_statistics, approximate=approximate_nm, pack_weight=pack_weight,
    pattern="N:M", terms=terms_of,
)  # fmt: skip
