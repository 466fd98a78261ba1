"""Activation-sparse convolution: the input is encoded at run time, and its zeros are skipped.

The encodings are those of Amer et al. (arXiv 2104.08314), CPO and CPS, in the order of our kernels:
channels of a pixel lie next to each other, so that CPS groups them where the paper groups rows.
"""

import math
from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Option, Packed, Work
from sparsepass.algorithms.work import (
    dense_pack,
    read_bytes,
    refuse_all_but_planar,
    round_up,
)
from sparsepass.layer import Layer
from sparsepass.sparsity import ActivationStats, Stats
from sparsepass.target import Target
from sparsepass.tuning import Tuning

__all__ = ["CPO", "CPS"]

# Channels that share a word of CPS, and filters of a vector of weights
# (runtime/native/kernels/activation_kernel.h).
GROUP_CHANNELS, UNIT = 16, 16
# Rows that share a word of CPS in the paper.
GROUP_ROWS = 4


def refuse_encoded(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if layer.is_depthwise:
        return "depthwise: nothing shares an encoded input"
    if stats.input is None:
        return "zeros of its input are not known: give --samples"
    if stats.input.zeros_p90 < (needed := 1 - break_even_density(layer, target.tuning)):
        return (
            f"only {stats.input.zeros_mean:.0%} of its input is zero; it pays from {needed:.0%} on"
        )
    return None


def sweeps(layer: Layer) -> bool:
    """Whether input rows meet all taps in one pass; elsewhere each output gathers its inputs."""
    return layer.kernel == (3, 3) and layer.strides == layer.dilations == (1, 1)


def encoded_kernel(layer: Layer) -> str:
    if layer.is_pointwise:
        return "pointwise"
    return "sweep" if sweeps(layer) else "gather"


def break_even_density(layer: Layer, tuning: Tuning) -> float:
    """The share of non-zeros above which the ops take their dense path.

    In vector multiply-adds for one output pixel and one vector of filters, as in the native library
    (runtime/native/activation_sparse/break_even.cc).
    """
    channels, filters = layer.channels // layer.groups, layer.filters // layer.groups
    vectors, kernel = math.ceil(filters / UNIT), math.prod(layer.kernel)
    sweep = sweeps(layer)
    chunk_channels = channels_of_chunk(layer, tuning)
    block = min(vectors, tuning.gather_vectors)
    is_near = 4 * kernel * chunk_channels * block * UNIT <= tuning.near_weight_bytes
    nonzero = tuning.near_weight_multiplies if is_near else tuning.far_weight_multiplies
    if sweep:
        nonzero = tuning.sweep_weight_multiplies
    visit = tuning.sweep_visit_multiplies if sweep else tuning.gather_visit_multiplies
    encode = tuning.encode_multiplies * channels * math.prod(layer.strides) / filters
    dense = layer.taps * filters / (vectors * UNIT)
    rest = dense - tuning.finish_multiplies - visit * math.ceil(channels / chunk_channels) - encode
    return max(0.0, rest / (nonzero * layer.taps))


def channels_of_chunk(layer: Layer, tuning: Tuning) -> int:
    """The channels of a group that are encoded together."""
    channels = layer.channels // layer.groups
    return round_up(math.ceil(channels / math.ceil(channels / tuning.chunk_channels)), UNIT)


def gather_visits(layer: Layer, tuning: Tuning) -> int:
    """How often outputs look up the values of an input pixel; a sweep looks each up once."""
    if encoded_kernel(layer) != "gather":
        return 0
    channels, filters = layer.channels // layer.groups, layer.filters // layer.groups
    chunks = math.ceil(channels / channels_of_chunk(layer, tuning))
    blocks = math.ceil(math.ceil(filters / UNIT) / tuning.gather_vectors)
    return layer.batch * layer.groups * layer.pixels * math.prod(layer.kernel) * chunks * blocks


def expected_density(stats: ActivationStats, break_even: float) -> float:
    """The mean share of multiply-adds done over samples: all of them where one goes dense."""
    densities = (1 - stats.zeros_p10, 1 - stats.zeros_mean, 1 - stats.zeros_p90)
    return sum(d if d <= break_even else 1.0 for d in densities) / len(densities)


def encoded_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    assert stats.input is not None
    density = expected_density(stats.input, break_even_density(layer, target.tuning))
    return (
        Option(
            Work(
                macs=layer.macs * density,
                input_bytes=read_bytes(layer),
                output_bytes=4 * layer.output_size,
                weight_bytes=4 * layer.weight.size,
                moves=layer.input_size / target.lanes + gather_visits(layer, target.tuning),
                copied_bytes=6 * layer.input_size * density,
            )
        ),
    )


def pack_encoded(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


def nonzeros(layer: Layer, stats: Stats) -> float:
    """Expected non-zeros of one channel of an image."""
    assert stats.input is not None
    return (1 - stats.input.zeros_mean) * math.prod(layer.input_spatial)


def starts(layer: Layer, stats: Stats, tuning: Tuning) -> int:
    """Where the values of a pixel begin, for each chunk of channels."""
    chunks = math.ceil(layer.channels / layer.groups / tuning.chunk_channels)
    if layer.is_pointwise:
        visits = layer.groups * chunks * math.prod(layer.input_spatial)
        kept = max(1.0, layer.channels * nonzeros(layer, stats))
        most = min(tuning.merged_chunks, chunks)
        chunks = math.ceil(chunks / max(1, int(min(tuning.visit_values * visits / kept, most))))
    return layer.groups * chunks * (math.prod(layer.input_spatial) + 1)


def cpo_workspace(layer: Layer, stats: Stats, target: Target) -> float:
    """A value and a 16-bit position for each non-zero."""
    return 6 * layer.channels * nonzeros(layer, stats) + 4 * starts(layer, stats, target.tuning)


def cps_workspace(layer: Layer, stats: Stats, target: Target) -> float:
    """A value for each non-zero, and room for a word for each group that may have one."""
    kept = layer.channels * nonzeros(layer, stats)
    channels = layer.groups * round_up(layer.channels // layer.groups, GROUP_CHANNELS)
    groups = min(kept, math.prod(layer.input_spatial) * channels / GROUP_CHANNELS)
    return 4 * (kept + groups) + 8 * starts(layer, stats, target.tuning)


def cpo_paper(layer: Layer, stats: Stats) -> float:
    """A value and an index for each non-zero."""
    return 4 * layer.channels * (2 * nonzeros(layer, stats) + pointer_words(layer))


def cps_paper(layer: Layer, stats: Stats) -> float:
    """A value for each non-zero, and one or two words for a group, as if zeros were independent."""
    kept, plane = nonzeros(layer, stats), padded_size(layer)
    d, e = kept / plane, 1 - kept / plane
    group_words = 4 * d * e**3 + 12 * d**2 * e**2 + 8 * d**3 * e + 2 * d**4
    words = kept + group_words * plane / GROUP_ROWS + pointer_words(layer)
    return 4 * layer.channels * words


def padded_size(layer: Layer) -> int:
    axes = len(layer.kernel)
    pads = zip(layer.pads[:axes], layer.pads[axes:], strict=True)
    return math.prod(s + sum(p) for s, p in zip(layer.input_spatial, pads, strict=True))


def pointer_words(layer: Layer) -> int:
    """Starts by overlap type and output column; type 0 has non-zeros in the outer columns only."""
    types, columns = math.ceil(layer.kernel[1] / layer.strides[1]), layer.output_spatial[1] + 1
    return columns if types == 1 else (types - 1) * columns + 3


CPO = Algorithm(
    "cpo", "rounding", refuse_encoded, encoded_options, pack_encoded,
    op="CpoConv", source="arXiv 2104.08314", kernel=encoded_kernel,
    workspace=cpo_workspace, paper_workspace=cpo_paper,
)  # fmt: skip

CPS = Algorithm(
    "cps", "rounding", refuse_encoded, encoded_options, pack_encoded,
    op="CpsConv", source="arXiv 2104.08314", kernel=encoded_kernel,
    workspace=cps_workspace, paper_workspace=cps_paper,
)  # fmt: skip
