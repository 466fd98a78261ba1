"""Give tensors of any rank the four axes that our ops take, and take them off again.

A 1-D feature map (N, C, L) becomes (N, C, 1, L).  The rows of a product (..., C) become the
positions of one image (1, C, 1, rows): its channels then lie as those of a convolution do.  Where
there are no rows there is no image, (0, C, 1, 1): no convolution takes an image without positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["Adapter"]


@dataclass
class Adapter:
    """The nodes around one op, whose layer has ``rank`` spatial axes, 0 for a product.

    ``names`` are those of the graph.
    ``may_be_empty`` says that the rows of a product may be none.
    """

    graph: ir.Graph
    names: Names
    name: str
    rank: int
    may_be_empty: bool = False
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
                wide = self.axis(self.before, "Unsqueeze", value, stem)
            else:
                rows = self.reshape(self.before, value, [-1, features], f"{stem}.rows")
                columns = self.transpose(self.before, rows, f"{stem}.columns")
                wide = self.image(columns, features, stem)
            self.widened[value] = wide
        return self.widened[value]

    def narrow(self, value: ir.Value, features: int, like: ir.Value) -> ir.Value:
        """The op's output ``value`` with the axes that ``like``, the layer's input, has."""
        if self.rank == 2:
            return value
        value.name = f"{self.name}/wide.output"
        stem = f"{self.name}/narrow"
        if self.rank == 1:
            return self.axis(self.after, "Squeeze", value, stem)
        columns = self.reshape(self.after, value, [features, -1], f"{stem}.columns")
        rows = self.transpose(self.after, columns, f"{stem}.rows")
        if like.shape is not None and len(like.shape) == 2:
            return rows
        shape = self.node(self.after, "Shape", [like], f"{stem}.sizes")
        leading = self.slice(self.after, shape, 0, -1, f"{stem}.leading")
        filters = self.sizes([features], f"{stem}.filters")
        target = self.node(self.after, "Concat", [leading, filters], f"{stem}.shape", axis=0)
        # Below opset 14 a size of 0 stands for that of the input: right on the first axis only.
        zero = {"allowzero": 1} if self.may_be_empty and self.opset >= 14 else {}
        return self.node(self.after, "Reshape", [rows, target], stem, **zero)

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return self.graph.opset_imports[""]

    def image(self, columns: ir.Value, features: int, name: str) -> ir.Value:
        """Append what makes an image of the ``columns`` (features, rows), or none of no rows."""
        if not self.may_be_empty:
            return self.reshape(self.before, columns, [1, features, 1, -1], name)
        shape = self.node(self.before, "Shape", [columns], f"{name}.sizes")
        rows = self.slice(self.before, shape, 1, 2, f"{name}.positions")
        images = self.node(self.before, "Sign", [rows], f"{name}.images")
        one = self.sizes([1], f"{name}.one")
        more = self.node(self.before, "Add", [rows, one], f"{name}.more")
        width = self.node(self.before, "Sub", [more, images], f"{name}.width")
        first = self.sizes([-1, features, 1], f"{name}.first")
        target = self.node(self.before, "Concat", [first, width], f"{name}.shape", axis=0)
        return self.node(self.before, "Reshape", [columns, target], name)

    def axis(self, nodes: list[ir.Node], op_type: str, value: ir.Value, name: str) -> ir.Value:
        """Append an Unsqueeze or Squeeze of axis 2 and return what it makes."""
        if self.opset < 13:
            return self.node(nodes, op_type, [value], name, axes=[2])
        return self.node(nodes, op_type, [value, self.sizes([2], f"{name}.axes")], name)

    def slice(
        self, nodes: list[ir.Node], value: ir.Value, first: int, last: int, name: str
    ) -> ir.Value:
        """Append a Slice of a vector, of attributes below opset 10, and return what it makes."""
        if self.opset < 10:
            return self.node(nodes, "Slice", [value], name, axes=[0], starts=[first], ends=[last])
        ends = [self.sizes([first], f"{name}.first"), self.sizes([last], f"{name}.last")]
        return self.node(nodes, "Slice", [value, *ends], name)

    def sizes(self, values: Sequence[int], name: str) -> ir.Value:
        """A constant vector of sizes."""
        return new_initializer(self.graph, name, np.array(values, np.int64), self.names)

    def reshape(
        self, nodes: list[ir.Node], value: ir.Value, sizes: Sequence[int], name: str
    ) -> ir.Value:
        """Append a Reshape and return what it makes."""
        return self.node(nodes, "Reshape", [value, self.sizes(sizes, f"{name}.shape")], name)

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
