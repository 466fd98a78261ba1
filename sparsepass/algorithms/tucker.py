"""Tucker-2: a 1x1 convolution, a spatial one of fewer channels, a 1x1 one, under an error budget.

The first projects the input channels on features, by a higher-order singular value decomposition in
the metric of the input's second moments; the kernel between and the last factor are the
reduced-rank regression of the outputs on what is left: for these features, none is better.  One
decomposition gives the errors for every number of inputs, and an eigenvalue problem for each of
these those for every number of outputs (the chain of Kim et al., arXiv 1511.06530).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsepass.algorithms.chains import (
    Part,
    chain_of,
    chain_work,
    factors_of,
    kept_mean,
    patches_in,
    ranks_below,
    refuse_shape,
    relative,
    single,
    worthwhile,
)
from sparsepass.algorithms.dense import DENSE
from sparsepass.algorithms.moments import refuse_patches
from sparsepass.algorithms.row import Algorithm, Factor, Option
from sparsepass.approximation import NestedFit, nested_fit, repeated, slice_features
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Statistic, Stats
from sparsepass.target import Target

__all__ = ["TUCKER"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Decomposition:
    """All features of the input channels that are offered, the fit to them, and the spectra.

    ``spectra`` maps a number of inputs to the eigenvalues, largest first, and eigenvectors of the
    covariance of the outputs that they explain.
    """

    features: Doubles
    fit: NestedFit
    spectra: Mapping[int, tuple[Doubles, Doubles]]


def tucker_statistics(layer: Layer) -> frozenset[Statistic]:
    return frozenset() if refuse_layer(layer) else frozenset({"input moments"})


def refuse_layer(layer: Layer) -> str | None:
    if reason := refuse_shape(layer):
        return reason
    if layer.is_pointwise:
        return "pointwise: one factor would do for two"
    least = [min(ranks_below(n, n), default=0) for n in (layer.channels, layer.filters)]
    return None if all(least) and is_cheaper(layer, *least) else "no ranks below the dense work"


def refuse_tucker(layer: Layer, stats: Stats, target: Target) -> str | None:
    return refuse_layer(layer) or refuse_patches(layer, stats)


def tucker_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    spectra = decomposed(layer, stats).spectra
    options: list[Option] = []
    for inputs, outputs in possible_ranks(layer):
        chain = chain_of(layer, parts(layer, inputs, outputs))
        values, _ = spectra[inputs]
        error = relative(layer, stats, values[:outputs].sum())
        ranks = {"inputs": inputs, "outputs": outputs}
        options.append(Option(chain_work(chain), ranks, error, chain))
    return worthwhile(options)


def pack_tucker(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> tuple[Factor, ...]:
    inputs, outputs = parameters["inputs"], parameters["outputs"]
    _, bias = approximate_tucker(layer, stats, parameters)
    weights = matrices(layer, stats, inputs, outputs)
    return factors_of(layer, parts(layer, inputs, outputs), weights, bias)


def approximate_tucker(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    first, core, last = matrices(layer, stats, parameters["inputs"], parameters["outputs"])
    weight = (last @ core @ repeated(first, math.prod(layer.kernel))).reshape(layer.weight.shape)
    return single(weight), kept_mean(layer, stats, weight)


def parts(layer: Layer, inputs: int, outputs: int) -> tuple[Part, Part, Part]:
    spatial = tuple(range(len(layer.kernel)))
    return Part(inputs), Part(outputs, axes=spatial), Part(layer.filters)


def possible_ranks(layer: Layer) -> list[tuple[int, int]]:
    """Pairs of ranks whose three convolutions do fewer multiply-adds than the dense one."""
    return [
        (inputs, outputs)
        for inputs in ranks_below(layer.channels, layer.channels)
        for outputs in ranks_below(layer.filters, layer.filters)
        if is_cheaper(layer, inputs, outputs)
    ]


def is_cheaper(layer: Layer, inputs: int, outputs: int) -> bool:
    """Whether three convolutions of these ranks do less than the dense one; lower ranks do less."""
    return chain_work(chain_of(layer, parts(layer, inputs, outputs))).macs < layer.macs


def matrices(
    layer: Layer, stats: Stats, inputs: int, outputs: int
) -> tuple[Doubles, Doubles, Doubles]:
    """The features (inputs, channels), the core (outputs, inputs taps) and (filters, outputs)."""
    found = decomposed(layer, stats)
    basis = found.spectra[inputs][1][:, :outputs]
    core = basis.T @ found.fit.map(inputs * math.prod(layer.kernel))
    return found.features[:inputs], core, basis


def decomposed(layer: Layer, stats: Stats) -> Decomposition:
    return stats.once("tucker", lambda: decompose(layer, stats))


def decompose(layer: Layer, stats: Stats) -> Decomposition:
    weight, moments = layer.weight.reshape(layer.filters, -1), patches_in(stats).covariance[0]
    offered = sorted({inputs for inputs, _ in possible_ranks(layer)})
    area = math.prod(layer.kernel)
    features = slice_features(weight, moments, area)[: offered[-1]]
    fit = nested_fit(weight, moments, repeated(features, area))
    spectra = {inputs: spectrum(fit.covariance(inputs * area)) for inputs in offered}
    return Decomposition(features, fit, spectra)


def spectrum(covariance: Doubles) -> tuple[Doubles, Doubles]:
    values, vectors = np.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


TUCKER = Algorithm(
    "tucker", "lossy", refuse_tucker, tucker_options, pack_tucker,
    source="arXiv 1511.06530", prices=DENSE.name,
    statistics=tucker_statistics, approximate=approximate_tucker,
)  # fmt: skip
