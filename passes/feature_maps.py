"""Give tensors of any rank the four axes that our ops take, and take them off again.

A 1-D feature map (N, C, L) becomes (N, C, 1, L).  The rows of a product (..., C) become the
positions of one image (1, C, 1, rows): its channels then lie as those of a convolution do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from sparsepass.passes.initializers import new_initializer

__all__ = ["Adapter"]


@dataclass
class Adapter:
    """The nodes around one op, whose layer has ``rank`` spatial axes, 0 for a product."""

    graph: ir.Graph
    name: str
    rank: int
    before: list[ir.Node] = field(default_factory=list[ir.Node])
    after: list[ir.Node] = field(default_factory=list[ir.Node])
    widened: dict[ir.Value, ir.Value] = field(default_factory=dict[ir.Value, ir.Value])

    def widen(self, value: ir.Value, features: int) -> ir.Value:
        """``value``, which has ``features`` channels, with four axes; made once per value."""
        if self.rank == 2:
            return value
        if value not in self.widened:
            stem = f"{self.name}/wide{len(self.widened)}"
            if self.rank == 1:
                wide = self.reshape(self.before, value, [0, 0, 1, -1], stem)
            else:
                rows = self.reshape(self.before, value, [-1, features], f"{stem}.rows")
                columns = self.transpose(self.before, rows, f"{stem}.columns")
                wide = self.reshape(self.before, columns, [1, features, 1, -1], stem)
            self.widened[value] = wide
        return self.widened[value]

    def narrow(self, value: ir.Value, features: int, like: ir.Value) -> ir.Value:
        """The op's output ``value`` with the axes that ``like``, the layer's input, has."""
        if self.rank == 2:
            return value
        value.name = f"{self.name}/wide.output"
        stem = f"{self.name}/narrow"
        if self.rank == 1:
            return self.reshape(self.after, value, [0, 0, -1], stem)
        columns = self.reshape(self.after, value, [features, -1], f"{stem}.columns")
        rows = self.transpose(self.after, columns, f"{stem}.rows")
        if like.shape is not None and len(like.shape) == 2:
            return rows
        shape = self.node(self.after, "Shape", [like], f"{stem}.sizes")
        first = new_initializer(self.graph, f"{stem}.first", np.array([0], np.int64))
        last = new_initializer(self.graph, f"{stem}.last", np.array([-1], np.int64))
        leading = self.node(self.after, "Slice", [shape, first, last], f"{stem}.leading")
        filters = new_initializer(self.graph, f"{stem}.filters", np.array([features], np.int64))
        target = self.node(self.after, "Concat", [leading, filters], f"{stem}.shape", axis=0)
        return self.node(self.after, "Reshape", [rows, target], stem)

    def reshape(
        self, nodes: list[ir.Node], value: ir.Value, sizes: Sequence[int], name: str
    ) -> ir.Value:
        """Append a Reshape and return what it makes."""
        target = new_initializer(self.graph, f"{name}.shape", np.array(sizes, np.int64))
        return self.node(nodes, "Reshape", [value, target], name)

    def transpose(self, nodes: list[ir.Node], value: ir.Value, name: str) -> ir.Value:
        """Append a Transpose of two axes and return what it makes."""
        return self.node(nodes, "Transpose", [value], name, perm=[1, 0])

    def node(
        self,
        nodes: list[ir.Node],
        op_type: str,
        inputs: Sequence[ir.Value],
        name: str,
        **attributes: int | Sequence[int],
    ) -> ir.Value:
        """Append a node and return what it makes."""
        made = ir.node(op_type, inputs, attributes, name=name)
        made.outputs[0].name = f"{name}.output"
        nodes.append(made)
        return made.outputs[0]
