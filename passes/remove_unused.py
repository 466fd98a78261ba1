"""Remove what has no effect: Identity nodes, and nodes and constants that nothing reads."""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from sparsepass.graph import is_standard

__all__ = ["RemoveUnused"]


@dataclass(frozen=True)
class RemoveUnused(ir.passes.InPlacePass):
    """Remove Identity nodes, dead nodes and dead constants.

    Inputs and outputs of every graph and function keep their number, order, names and types.  A
    graph without outputs keeps its nodes: ONNX Runtime loads no graph without any.
    """

    name: ClassVar[str] = "remove-unused"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove them."""
        scopes = (model.graph, *model.functions.values())
        nodes = [node for scope in scopes for node in scope.all_nodes()]
        identities = [remove_identity(node) for node in nodes if is_standard(node, "Identity")]
        unused = bool(model.graph.outputs) and bool(RemoveUnusedNodesPass()(model).modified)
        return ir.passes.PassResult(model, modified=any(identities) or unused)


def remove_identity(node: ir.Node) -> bool:
    """Let readers of an Identity read its input, where no boundary of a graph needs the node."""
    source, copy, graph = node.inputs[0], node.outputs[0], node.graph
    if source is None or graph is None:
        return False
    if copy.is_graph_output():
        if not can_be_named(source, node):
            return False
        # The caller of the graph sees what was declared of the output.
        source.name = copy.name
        source.type, source.shape = copy.type or source.type, copy.shape or source.shape
    ir.convenience.replace_all_uses_with(copy, source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True


def can_be_named(source: ir.Value, node: ir.Node) -> bool:
    """Tell whether the output of ``node`` may be ``source`` itself under another name.

    An output of a graph is made by a node of that very graph, and no value is two outputs.
    """
    producer = source.producer()
    return producer is not None and producer.graph is node.graph and not source.is_graph_output()
