"""Make small values of the inputs of layers zero.

Before: y = Conv(x, ...).  After: y = Conv(ThresholdedRelu(x), ...), where what is not above a
threshold becomes zero (FATReLU, for inputs that are not negative), or
y = Conv(KeepLargest(x), ...), where the N of largest magnitude of every M channels stay.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.algorithms import Cut, Largest, Threshold

__all__ = ["CutInputs", "cuts_of", "without_cuts"]

logger = logging.getLogger(__name__)

THRESHOLD = "ThresholdedRelu"
# What a node that makes values zero says in its metadata: the name of the node that reads them.
READER = "sparsepass.cut"


@dataclass(frozen=True)
class CutInputs(ir.passes.InPlacePass):
    """Put what makes small values zero in front of each named node, for it alone.

    ``cuts`` maps node names to what becomes zero.  The largest channels are kept by ``op_type`` of
    ``domain``, in ``version``.  A node that has a cut keeps it, so that a second run changes
    nothing.
    """

    cuts: Mapping[str, Cut]
    domain: str
    op_type: str
    version: int
    name: ClassVar[str] = "cut-inputs"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [node for node in model.graph if node.name in self.cuts and is_open(node)]
        for node in found:
            cut = self.cuts[node.name or ""]
            if isinstance(cut, Largest):
                model.opset_imports.setdefault(self.domain, self.version)
            put_before(model.graph, node, self.node_for(cut, node))
            logger.info("%s reads %s", node.name, cut)
        return ir.passes.PassResult(model, modified=bool(found))

    def node_for(self, cut: Cut, node: ir.Node) -> ir.Node:
        """What does ``cut`` to the input of ``node``."""
        match cut:
            case Threshold(above):
                made = ir.node(THRESHOLD, [node.inputs[0]], {"alpha": above})
            case Largest(kept, block):
                attributes = {"kept": kept, "block": block}
                made = ir.node(self.op_type, [node.inputs[0]], attributes, domain=self.domain)
        made.name = f"{node.name}/cut"
        made.metadata_props[READER] = node.name or ""
        return made


def cuts_of(model: ir.Model) -> dict[str, Cut]:
    """What becomes zero of the inputs of nodes, by name, as ``CutInputs`` wrote it."""
    return {node.metadata_props[READER]: cut_of(node) for node in cut_nodes(model)}


def cut_of(node: ir.Node) -> Cut:
    attributes = node.attributes
    if node.op_type == THRESHOLD:
        return Threshold(attributes["alpha"].as_float())
    return Largest(attributes["kept"].as_int(), attributes["block"].as_int())


def without_cuts(model: ir.Model) -> ir.Model:
    """A copy in which nothing is cut: its outputs do not jump where a value nearly is."""
    copy = model.clone()
    for node in cut_nodes(copy):
        (output,), source = node.outputs, node.inputs[0]
        assert source is not None
        assert node.graph is not None
        output.replace_all_uses_with(source)
        node.graph.remove(node, safe=True)
    return copy


def cut_nodes(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph.all_nodes() if READER in node.metadata_props]


def is_open(node: ir.Node) -> bool:
    source = node.inputs[0]
    maker = None if source is None else source.producer()
    return source is not None and (maker is None or READER not in maker.metadata_props)


def put_before(graph: ir.Graph, node: ir.Node, cut: ir.Node) -> None:
    (source,), (output,) = cut.inputs, cut.outputs
    assert source is not None
    output.name, output.type, output.shape = f"{cut.name}.output", source.type, source.shape
    graph.insert_before(node, cut)
    node.replace_input_with(0, output)
