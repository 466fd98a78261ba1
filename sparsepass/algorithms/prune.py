"""One-shot pruning: weights that matter little become zero, the rest is fitted to the outputs.

No gradients and no labels: what matters is how much the outputs of the layer change on samples.
With the covariance C of the input patches, a filter w that becomes v costs (v - w)^T C (v - w),
where the bias keeps the mean.  Which weights stay is found by optimal brain surgeon or, for filters
of many taps, by a search (``approximation``), for all densities at once; those that stay are the
least-squares fit.  What comes out runs as any weight with zeros.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sparsepass.algorithms.moments import refuse_patches, refuse_taps
from sparsepass.algorithms.row import Algorithm, Option, Payload
from sparsepass.algorithms.weight_sparse import SPMM, spmm_work
from sparsepass.algorithms.work import refuse_all_but_planar
from sparsepass.approximation import Supports, find_supports, refit
from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Patches, Statistic, Stats
from sparsepass.target import Target

__all__ = [
    "PRUNE", "ZEROS", "LayerSupports", "each_group", "fitted_on", "kept_counts", "options_of",
    "pack_weight", "prune_statistics", "refuse_moments", "refuse_prune", "settings", "supports_of",
]  # fmt: skip

# Percent of zeros that are offered.  Below, sparse kernels are seldom faster than dense ones.
ZEROS = tuple(range(50, 100, 5))


def prune_statistics(layer: Layer) -> frozenset[Statistic]:
    """The moments that pruning to any pattern needs."""
    return frozenset() if refuse_shape(layer) else frozenset({"input moments"})


def refuse_shape(layer: Layer) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if layer.is_depthwise:
        return "depthwise: no channel to skip"
    return refuse_taps(layer)


def refuse_prune(layer: Layer, stats: Stats, target: Target) -> str | None:
    """Why there is nothing to prune, or no way to tell what, or None."""
    if reason := refuse_moments(layer, stats):
        return reason
    if not settings(layer):
        return "nearly all weights are zero already"
    return None


def refuse_moments(layer: Layer, stats: Stats) -> str | None:
    """Why the second moments do not say what weights matter to the outputs, or None."""
    return refuse_shape(layer) or refuse_patches(layer, stats)


def prune_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return options_of(layer, supports_of(layer, stats), target)


def approximate_prune(
    layer: Layer, stats: Stats, parameters: Mapping[str, int]
) -> tuple[Array, Array]:
    zeros = parameters["zeros"]
    return stats.once(("fitted", zeros), lambda: fitted(layer, stats, zeros))


def pack_prune(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Payload:
    weight, bias = approximate_prune(layer, stats, parameters)
    return pack_weight(replace(layer, weight=weight, bias=bias), stats, parameters)


def pack_weight(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Payload:
    """The weight with its zeros, for the sparse kernel."""
    return SPMM.pack(layer, stats, {})


def settings(layer: Layer) -> tuple[int, ...]:
    """The percentages of zeros that a layer does not have yet."""
    had = 100 * (1 - np.count_nonzero(layer.weight) / layer.weight.size)
    return tuple(zeros for zeros in ZEROS if zeros > had)


@dataclass(frozen=True)
class LayerSupports:
    """What each setting keeps, a group of filters at a time, and the relative error it causes."""

    groups: tuple[Supports, ...]
    errors: tuple[float, ...]

    def mask(self, layer: Layer, number: int) -> Array:
        """Ones where setting ``number`` keeps the weight, zeros elsewhere."""
        masks = np.stack([group.mask(number) for group in self.groups])
        return masks.reshape(layer.weight.shape).astype(np.float32)


def options_of(layer: Layer, supports: LayerSupports, target: Target) -> tuple[Option, ...]:
    """An offer for each percentage of zeros, whose supports are found."""
    return tuple(
        Option(
            spmm_work(replace(layer, weight=supports.mask(layer, number)), target),
            {"zeros": zeros},
            supports.errors[number],
        )
        for number, zeros in enumerate(settings(layer))
    )


def supports_of(layer: Layer, stats: Stats) -> LayerSupports:
    """What each of the ``settings`` keeps."""
    return stats.once("supports", lambda: found_supports(layer, stats))


def found_supports(layer: Layer, stats: Stats) -> LayerSupports:
    kept = kept_counts(layer)
    return each_group(layer, stats, lambda weight, moments: find_supports(weight, moments, kept))


def kept_counts(layer: Layer) -> tuple[int, ...]:
    """How many weights of a group each setting keeps."""
    size = layer.weight.size // layer.groups
    return tuple(round(size * (100 - zeros) / 100) for zeros in settings(layer))


def each_group(
    layer: Layer, stats: Stats, find: Callable[[Array, Array], Supports]
) -> LayerSupports:
    """What ``find`` keeps of the weight of each group, by the second moments of what it reads."""
    patches = patches_in(stats)
    rows = layer.weight.reshape(layer.groups, -1, layer.taps)
    groups = tuple(map(find, rows, patches.covariance))
    energy = patches.output_energy(layer.weight, layer.bias)
    costs = np.sum([group.costs for group in groups], axis=0)
    return LayerSupports(groups, tuple(math.sqrt(max(cost, 0.0) / energy) for cost in costs))


def fitted(layer: Layer, stats: Stats, zeros: int) -> tuple[Array, Array]:
    mask = supports_of(layer, stats).mask(layer, settings(layer).index(zeros))
    return fitted_on(layer, stats, mask)


def fitted_on(layer: Layer, stats: Stats, mask: Array) -> tuple[Array, Array]:
    """Weight and bias that keep what ``mask`` does; the bias keeps the mean of every filter."""
    patches = patches_in(stats)
    masks = mask.reshape(layer.groups, -1, layer.taps)
    rows = layer.weight.reshape(masks.shape)
    found = np.stack(
        [
            refit(weight, mask > 0, covariance, weight @ covariance)
            for weight, mask, covariance in zip(
                rows, masks, patches.covariance.astype(np.float64), strict=True
            )
        ]
    )
    shift = np.einsum("gft,gt->gf", rows - found, patches.mean).reshape(-1)
    weight = np.ascontiguousarray(found.reshape(layer.weight.shape), np.float32)
    return weight, (layer.bias + shift).astype(np.float32)


def patches_in(stats: Stats) -> Patches:
    assert stats.patches is not None
    return stats.patches


PRUNE = Algorithm(
    "prune", "lossy", refuse_prune, prune_options, pack_prune,
    op=SPMM.op, paired=True, source="arXiv 2208.11580, arXiv 2406.07831", prices=SPMM.name,
    statistics=prune_statistics, approximate=approximate_prune, pack_weight=pack_weight,
)  # fmt: skip
