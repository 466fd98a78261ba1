"""Counting work: what every algorithm's count is made of."""

import math

from sparsepass.algorithms.row import Packed, Work
from sparsepass.layer import Layer
from sparsepass.target import CHANNEL_STEP

__all__ = [
    "dense_pack",
    "dense_work",
    "read_bytes",
    "refuse_all_but_planar",
    "round_up",
]

# Outputs that a dense kernel keeps in registers: pixels by blocks of filters (MLAS).
DENSE_PIXELS, DENSE_BLOCKS = 6, 4


def dense_work(layer: Layer, block: int) -> Work:
    """The work of a dense convolution in ONNX Runtime's layout of ``block`` channels."""
    channels, filters = layer.weight.shape[1], layer.filters // layer.groups
    performed = float(layer.macs)
    if len(layer.kernel) == 2 and layer.is_depthwise:
        performed *= round_up(layer.groups, block) / layer.groups
    elif len(layer.kernel) == 2 and (channels < block or channels % CHANNEL_STEP == 0):
        # Fewer channels than a block are read from NCHW, and need not be filled up.
        filled = round_up(channels, block) if channels >= block else channels
        performed *= filled / channels * round_up(filters, block) / filters
    tiles = layer.batch * row_tiles(layer) * layer.taps * layer.groups
    return Work(
        macs=layer.macs,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=4 * layer.weight.size,
        idle_macs=performed - layer.macs,
        moves=tiles * math.ceil(filters / (DENSE_BLOCKS * block)),
    )


def row_tiles(layer: Layer) -> int:
    """Iterations of a dense kernel: DENSE_PIXELS outputs each, one at padded edges."""
    if layer.is_pointwise:
        return math.ceil(layer.pixels / DENSE_PIXELS)
    width = layer.output_spatial[-1]
    edges = min(width, layer.pads[len(layer.kernel) - 1] + layer.pads[-1])
    return layer.pixels // width * (math.ceil((width - edges) / DENSE_PIXELS) + edges)


def read_bytes(layer: Layer) -> int:
    """Bytes of the feature maps that a layer reads: its input, and what its epilogue adds."""
    return 4 * (layer.input_size + (layer.output_size if layer.epilogue.residual else 0))


def round_up(value: int, step: int) -> int:
    """The smallest multiple of ``step`` that is not below ``value``."""
    return -(-value // step) * step


def refuse_all_but_planar(layer: Layer) -> str | None:
    """The reason why a layer is no 1-D or 2-D convolution, which our ops compute, or None."""
    if layer.op_type != "Conv":
        return "not a convolution"
    if len(layer.kernel) > 2:
        return "3-D convolution"
    return None


def dense_pack(layer: Layer) -> Packed:
    """The dense weight as an op takes it: four axes, height 1 where the layer is 1-D."""
    weight = layer.weight
    if len(layer.kernel) == 1:
        weight = weight.reshape(*weight.shape[:2], 1, weight.shape[2])
    return Packed((("weight", weight),), layer.bias)
