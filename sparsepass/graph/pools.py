"""Feature maps, and what max pools do to them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import onnx_ir as ir

from sparsepass.graph.layers import resolve_pads
from sparsepass.graph.values import is_standard

__all__ = ["Windows", "float_image", "max_pool_windows"]

Dims = tuple[int, ...]


class Windows(NamedTuple):
    """The windows of a pool: their size, distances, and padding, begins then ends."""

    kernel: Dims
    strides: Dims
    pads: Dims


def max_pool_windows(node: ir.Node, known: Mapping[str, ir.Value]) -> Windows | None:
    """Return the windows of a max pool of float images, or None.

    ``known`` are the values of the graph as ``shapes.open_values`` gives them.

    None as well where they are dilated, where positions are asked for too, and where padding
    depends on an image size that is open.
    """
    if not is_standard(node, "MaxPool") or len(node.outputs) > 1:
        return None
    source, attributes = float_image(node.inputs[0], known), node.attributes
    if source is None:
        return None
    kernel = tuple(attributes.get_ints("kernel_shape", ()))
    strides = tuple(attributes.get_ints("strides", (1, 1)))
    dilations = tuple(attributes.get_ints("dilations", (1, 1)))
    size = tuple(d if isinstance(d, int) else 0 for d in tuple(source)[2:])
    mode = attributes.get_string("auto_pad", "NOTSET")
    rounds_up = bool(attributes.get_int("ceil_mode", 0))
    if dilations != (1, 1) or (0 in size and (rounds_up or mode.startswith("SAME"))):
        return None
    if len(kernel) != 2 or len(strides) != 2 or min(*kernel, *strides) < 1:
        return None  # ONNX Runtime says what is wrong
    pads = resolve_pads(node, size, kernel, strides, dilations)
    if len(pads) != 4:
        return None
    if rounds_up:
        pads = rounded_up(size, kernel, strides, pads)
    # ONNX Runtime demands it too.
    fits = all(pad < k for pad, k in zip(pads, (*kernel, *kernel), strict=True))
    return Windows(kernel, strides, pads) if fits else None


def float_image(value: ir.Value | None, known: Mapping[str, ir.Value]) -> ir.Shape | None:
    """The shape of a value that is known to be a feature map in float with four axes, or None."""
    found = known.get(value.name or "") if value is not None else None
    if found is None or found.dtype != ir.DataType.FLOAT or found.shape is None:
        return None
    return found.shape if found.shape.rank() == 4 else None


def rounded_up(size: Dims, kernel: Dims, strides: Dims, pads: Dims) -> Dims:
    """``pads`` with what ``ceil_mode`` reads past the end; no window begins there."""
    ends = list(pads[2:])
    for axis, (n, k, s) in enumerate(zip(size, kernel, strides, strict=True)):
        begin = pads[axis]
        last = math.ceil((n + begin + ends[axis] - k) / s)
        if last * s >= n + begin:
            last -= 1
        ends[axis] = max(ends[axis], last * s + k - n - begin)
    return (*pads[:2], *ends)
