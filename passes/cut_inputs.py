"""Make small values of the inputs of layers zero.

Before: y = Conv(x, ...).  After: y = Conv(ThresholdedRelu(x), ...), where what is not above a
threshold becomes zero (FATReLU, for inputs that are not negative).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

__all__ = ["ThresholdInputs", "thresholds_of", "without_thresholds"]

logger = logging.getLogger(__name__)

# How the node is called that stands in front of another.
ENDING = "/threshold"


@dataclass(frozen=True)
class ThresholdInputs(ir.passes.InPlacePass):
    """Put a ``ThresholdedRelu`` in front of each named node, for it alone.

    ``thresholds`` maps node names to what has to be exceeded.  A node that has one keeps it, so
    that a second run changes nothing.
    """

    thresholds: Mapping[str, float]
    name: ClassVar[str] = "threshold-inputs"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [node for node in model.graph if node.name in self.thresholds and is_open(node)]
        for node in found:
            threshold = self.thresholds[node.name or ""]
            rewrite(model.graph, node, threshold)
            logger.info("%s reads what is above %g", node.name, threshold)
        return ir.passes.PassResult(model, modified=bool(found))


def thresholds_of(model: ir.Model) -> dict[str, float]:
    """What has to be exceeded by the inputs of nodes, by name, as ``ThresholdInputs`` wrote it."""
    return {
        (node.name or "").removesuffix(ENDING): node.attributes["alpha"].as_float()
        for node in threshold_nodes(model)
    }


def without_thresholds(model: ir.Model) -> ir.Model:
    """A copy in which every threshold is 0: its outputs do not jump where a value is at one."""
    copy = model.clone()
    for node in threshold_nodes(copy):
        node.attributes["alpha"] = ir.AttrFloat32("alpha", 0.0)
    return copy


def threshold_nodes(model: ir.Model) -> list[ir.Node]:
    return [
        node
        for node in model.graph
        if node.op_type == "ThresholdedRelu" and (node.name or "").endswith(ENDING)
    ]


def is_open(node: ir.Node) -> bool:
    source = node.inputs[0]
    maker = None if source is None else source.producer()
    return source is not None and (maker is None or maker.name != name_for(node))


def name_for(node: ir.Node) -> str:
    return f"{node.name}{ENDING}"


def rewrite(graph: ir.Graph, node: ir.Node, threshold: float) -> None:
    source = node.inputs[0]
    assert source is not None
    above = ir.node("ThresholdedRelu", [source], {"alpha": threshold}, name=name_for(node))
    (output,) = above.outputs
    output.name, output.type, output.shape = f"{above.name}.output", source.type, source.shape
    graph.insert_before(node, above)
    node.replace_input_with(0, output)
