"""Depthwise convolution in NCHW: what keeps a region of sparse layers free of layout changes.

ONNX Runtime computes these layers in its blocked layout, which costs a copy on each side where the
neighbours are custom ops.
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
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["DEPTHWISE"]

# Lanes of the narrowest vector there is, and the kernels whose output rows share the input rows
# that they load (runtime/native/kernels/depthwise_kernel.cc).
LEAST_LANES = 4
SHARING_KERNELS = ((3, 3), (5, 5))


def refuse_depthwise(layer: Layer, stats: Stats, target: Target) -> str | None:
    if reason := refuse_all_but_planar(layer):
        return reason
    if not layer.is_depthwise:
        return "not depthwise"
    if max(layer.strides) > 2:
        return "stride above 2"
    if max(layer.kernel) > 5:
        return "kernel above 5"
    return None


def depthwise_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(depthwise_work(layer, target)),)


def depthwise_work(layer: Layer, target: Target) -> Work:
    narrow = max(LEAST_LANES, target.lanes // 2)
    width = layer.output_spatial[-1]
    rows = layer.batch * layer.filters * layer.pixels // width
    return Work(
        macs=layer.macs,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * layer.weight.size,
        idle_macs=rows * (round_up(width, narrow) - width) * layer.taps,
        moves=rows * math.ceil(width / target.lanes) * (loads(layer, target) + 1),
    )


def loads(layer: Layer, target: Target) -> float:
    """Vectors loaded for one vector of outputs, or elements where a stride has no vector loads."""
    if layer.kernel not in SHARING_KERNELS or layer.strides[0] != layer.strides[1]:
        return layer.taps * (1 if layer.strides[-1] == 1 else target.lanes)
    height, width = layer.kernel
    stride = layer.strides[0]
    rows = target.tuning.depthwise_rows
    return ((rows - 1) * stride + height) / rows * (width if stride == 1 else 3)


def pack_depthwise(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> Packed:
    return dense_pack(layer)


DEPTHWISE = Algorithm(
    "depthwise", "rounding", refuse_depthwise, depthwise_options, pack_depthwise,
    op="DepthwiseConv",
)  # fmt: skip
