"""Questions about one value or one node of a graph."""

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["bodies", "clip_bounds", "constant_array", "is_read_once", "is_standard"]


def constant_array(value: ir.Value | None) -> NDArray[Any] | None:
    """Return what ``value`` always holds, or None where it is absent or may change."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return (
        None if tensor is None or tensor.dtype == ir.DataType.STRING else np.asarray(tensor.numpy())
    )


def is_read_once(value: ir.Value) -> bool:
    """Tell whether one node reads ``value`` once and the caller of the model does not see it."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def is_standard(node: ir.Node, *op_types: str) -> bool:
    """Tell whether ``node`` is one of the standard operators ``op_types``."""
    return node.domain in ("", "ai.onnx") and node.op_type in op_types


def bodies(node: ir.Node) -> list[ir.Graph]:
    """Return the graphs that a control-flow node holds."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """Return the bounds of a Clip, infinite where it has none, or None where one is computed."""
    low, high = bound(node, 1, "min", -math.inf), bound(node, 2, "max", math.inf)
    return None if low is None or high is None else (low, high)


def bound(node: ir.Node, index: int, attribute: str, default: float) -> float | None:
    """Return one bound, which is an input since opset 11 and was an attribute before."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return node.attributes.get_float(attribute, default)
    constant = constant_array(value)
    return float(constant.item()) if constant is not None and constant.size == 1 else None
