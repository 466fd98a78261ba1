"""Add chains of plain convolutions to convolutions of the same input.

Before: y = Conv(x, W, b).  After: y = Add(Conv(x, W, b), Conv(Conv(x, W1, b1), W2, b2)).  The Add
is one that an op in the place of the convolution absorbs, see ``graph.fusions``.
"""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.algorithms import Factor
from sparsepass.passes.chains import chain_nodes, check_chain
from sparsepass.passes.initializers import Names

__all__ = ["BESIDE", "AddChains", "names_beside", "shapes_of_summands"]

logger = logging.getLogger(__name__)

# How the nodes of a chain and the sum are called, after the convolution's name.
BESIDE, SUM = "/beside", "/sum"
# The factors that a chain has at most.
MOST_FACTORS = 3


@dataclass(frozen=True)
class AddChains(ir.passes.InPlacePass):
    """Add a chain of factors to what each named ``Conv`` makes.

    ``chains`` maps node names to chains, first factor first.  The nodes of a chain are named
    ``<node>/beside0`` and so on, the sum ``<node>/sum``; the convolution keeps its name.  One that
    has a chain keeps it, so that a second run changes nothing.  Raises PlanError where a node is no
    ungrouped ``Conv`` or its factors do not fit together.
    """

    chains: Mapping[str, Sequence[Factor]]
    name: ClassVar[str] = "add-chains"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        nodes, names = {node.name for node in model.graph}, Names(model.graph)
        found = [
            node
            for node in model.graph
            if node.name in self.chains and f"{node.name}{BESIDE}0" not in nodes
        ]
        for node in found:
            chain = self.chains[node.name or ""]
            check_chain(node, chain)
            rewrite(model.graph, node, chain, names)
            logger.info("%s has a chain of %d beside it", node.name, len(chain))
        return ir.passes.PassResult(model, modified=bool(found))


def names_beside(layer: str) -> list[str]:
    """What the nodes of a chain beside a layer, and the values that they make, are called."""
    nodes = [f"{layer}{BESIDE}{position}" for position in range(MOST_FACTORS)]
    return [*nodes, *(f"{node}.output" for node in nodes)]


def shapes_of_summands(
    model: ir.Model, names: Container[str], shapes: Mapping[str, ir.Shape]
) -> dict[str, ir.Shape]:
    """The shapes of what is added up for the convolutions ``names``: those of the sums."""
    found: dict[str, ir.Shape] = {}
    for node in model.graph:
        if node.name is None or node.name not in names:
            continue
        both = next(iter(node.outputs[0].uses())).node
        shape = shapes.get(both.outputs[0].name or "")
        if shape is not None:
            found |= {value.name or "": shape for value in both.inputs if value is not None}
    return found


def rewrite(graph: ir.Graph, conv: ir.Node, chain: Sequence[Factor], names: Names) -> None:
    nodes = chain_nodes(graph, conv, chain, f"{conv.name}{BESIDE}", names)
    alone = ir.node("Conv", conv.inputs, dict(conv.attributes), name=conv.name)
    (output,), (original,) = alone.outputs, conv.outputs
    output.name, output.type, output.shape = f"{conv.name}.alone", original.type, original.shape
    both = ir.node("Add", [output, nodes[-1].outputs[0]], name=f"{conv.name}{SUM}")
    ir.convenience.replace_nodes_and_values(
        graph, conv, [conv], [*nodes, alone, both], conv.outputs, both.outputs
    )
