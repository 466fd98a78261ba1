"""Activation-sparse convolution: the input is encoded at run time, and its zeros are skipped."""

from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Lowering, Option, Packed, Work
from sparsepass.algorithms.work import LANES, dense_pack, read_bytes, refuse_all_but_planar
from sparsepass.layer import Layer
from sparsepass.sparsity import ActivationStats, Stats

__all__ = ["CPO", "CPS"]

# Share of non-zeros above which the ops take their dense path, about
# (runtime/native/activation_sparse/activation.cc).
GUARD = 0.75


def refuse_activation(layer: Layer, stats: Stats) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if layer.is_depthwise:
        return "depthwise: nothing shares an encoded input"
    if stats.input is None:
        return "zeros of its input are not known: give --samples"
    if stats.input.zeros_p90 < 1 - GUARD:
        return f"only {stats.input.zeros_mean:.0%} of its input is zero"
    return None


def expected_density(stats: ActivationStats) -> float:
    """The mean share of multiply-adds done over samples: all of them where the guard sends one."""
    densities = (1 - stats.zeros_p10, 1 - stats.zeros_mean, 1 - stats.zeros_p90)
    return sum(d if d < GUARD else 1.0 for d in densities) / len(densities)


def activation_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    assert stats.input is not None
    density = expected_density(stats.input)
    return (
        Option(
            Work(
                macs=layer.macs * density,
                input_bytes=read_bytes(layer),
                output_bytes=4 * layer.output_size,
                weight_bytes=4 * layer.weight.size,
                moves=layer.input_size / LANES,
                copied_bytes=6 * layer.input_size * density,
            )
        ),
    )


def pack_activation(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


CPO = Algorithm(
    "cpo", "rounding", Lowering.CUSTOM_OP, refuse_activation, activation_options, pack_activation,
    op="CpoConv", source="arXiv 2104.08314",
)  # fmt: skip

CPS = Algorithm(
    "cps", "rounding", Lowering.CUSTOM_OP, refuse_activation, activation_options, pack_activation,
    op="CpsConv", source="arXiv 2104.08314",
)  # fmt: skip
