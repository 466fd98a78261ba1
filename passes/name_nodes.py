"""Give every node a name of its own: plans, reports and messages name layers by it."""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

__all__ = ["NameNodes"]


@dataclass(frozen=True)
class NameNodes(ir.passes.InPlacePass):
    """Name nameless nodes after what they make, and make repeated names differ."""

    name: ClassVar[str] = "name-nodes"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Name them; names that are unique already stay."""
        return NameFixPass(NamesByOutput())(model)


class NamesByOutput:
    """Names that stay the same when nodes before them come or go."""

    def generate_node_name(self, node: ir.Node) -> str:
        """Return the node's name, else its operator and first output."""
        return node.name or f"{node.op_type}_{node.outputs[0].name}"

    def generate_value_name(self, value: ir.Value) -> str:
        """Return the value's name, else one for a nameless value."""
        return value.name or "value"
