"""Take a network out of the loop over groups of images that ``TileBatch`` put around it.

A model that sparsepass wrote before is planned again from the start; layers inside a loop would not
be seen.
"""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.passes.initializers import Names
from sparsepass.passes.tile_batch import BODY

__all__ = ["UntileBatch"]


@dataclass(frozen=True)
class UntileBatch(ir.passes.InPlacePass):
    """Put the nodes of the body in the place of the loop, between what was split and joined."""

    name: ClassVar[str] = "untile-batch"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Unwrap the loop where there is one."""
        scans = [node for node in model.graph if is_tiling(node)]
        for scan in scans:
            unwrap(model.graph, scan)
        return ir.passes.PassResult(model, modified=bool(scans))


def is_tiling(node: ir.Node) -> bool:
    """Tell whether ``node`` is a loop of ours that still stands between its Reshapes."""
    body = node.attributes.get("body")
    if node.op_type != "Scan" or body is None or body.as_graph().name != BODY:
        return False
    makers = [value.producer() if value is not None else None for value in node.inputs]
    readers = [use.node for value in node.outputs for use in value.uses()]
    return (
        len(readers) == len(node.outputs)
        and len(body.as_graph().inputs) == len(makers)
        and not any(value.is_graph_output() for value in node.outputs)
        and all(other is not None and other.op_type == "Reshape" for other in [*makers, *readers])
    )


def unwrap(graph: ir.Graph, scan: ir.Node) -> None:
    body = scan.attributes["body"].as_graph()
    split = [value.producer() for value in scan.inputs if value is not None]
    for node, inner in zip(split, body.inputs, strict=True):
        assert node is not None, scan.name
        source = node.inputs[0]
        assert source is not None, node.name
        inner.replace_all_uses_with(source)
    joined = [next(iter(value.uses())).node for value in scan.outputs]
    ends, nodes = list(body.outputs), list(body)
    body.outputs.clear()
    body.remove(nodes)
    names = Names(graph)
    for name, value in list(body.initializers.items()):
        body.initializers.pop(name)
        value.name = names.free(name)
        graph.register_initializer(value)
    graph.insert_before(scan, nodes)
    for node, value in zip(joined, ends, strict=True):
        outer = node.outputs[0]
        outer.replace_all_uses_with(value, replace_graph_outputs=True)
        value.name, value.shape, value.type = outer.name, outer.shape, outer.type
    made = {node for node in split if node is not None}
    graph.remove([*joined, scan, *made], safe=True)
