"""New names and constants for a graph."""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["free_name", "new_initializer"]


def free_name(graph: ir.Graph, name: str) -> str:
    """Return ``name``, or one like it where a value of ``graph`` has it."""
    taken = {value.name for node in graph.all_nodes() for value in node.outputs}
    taken |= set(graph.initializers) | {value.name for value in graph.inputs}
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free


def new_initializer(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Add ``array`` to ``graph`` as a constant named ``name``, or like it where that is taken."""
    free = free_name(graph, name)
    tensor = ir.tensor(array, name=free)
    value = ir.Value(
        name=free, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value
