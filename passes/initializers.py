"""New names and constants for a graph."""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["Names", "new_initializer"]


class Names:
    """The names of a graph's values; new ones that it gives are taken from then on.

    A pass makes one and keeps it: reading all names of a graph takes a walk through it.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.taken = {value.name for node in graph.all_nodes() for value in node.outputs}
        self.taken |= set(graph.initializers) | {value.name for value in graph.inputs}

    def free(self, name: str) -> str:
        """Return ``name``, or one like it where that is taken."""
        free, count = name, 1
        while free in self.taken:
            count += 1
            free = f"{name}_{count}"
        self.taken.add(free)
        return free

    def release(self, name: str) -> None:
        """Give ``name`` back: its value is no longer in the graph."""
        self.taken.discard(name)


def new_initializer(graph: ir.Graph, name: str, array: NDArray[Any], names: Names) -> ir.Value:
    """Add ``array`` to ``graph`` as a constant named ``name``, or like it where that is taken."""
    free = names.free(name)
    tensor = ir.tensor(array, name=free)
    value = ir.Value(
        name=free, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value
