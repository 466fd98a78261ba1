"""Replace convolutions by chains of plain convolutions.

Before: y = Conv(x, W, b).  After: h = Conv(x, W1, b1), y = Conv(h, W2, b2), and so on.  On each
spatial axis one factor has the convolution's kernel, stride, padding and dilation, the others have
a kernel of 1.  Which factors keep the outputs is the algorithm's business.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.algorithms import Factor
from sparsepass.passes.chains import chain_nodes, check_chain
from sparsepass.passes.initializers import Names

__all__ = ["FactorConvolutions"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FactorConvolutions(ir.passes.InPlacePass):
    """Replace each named ``Conv`` by its chain of factors.

    ``factors`` maps node names to chains, first factor first.  The nodes of a chain are named
    ``<node>/factor0`` and so on, the last one writes the original output value.  A name that no
    node has is left alone, so that a second run changes nothing.  Raises PlanError where a node is
    no ``Conv`` or its factors do not fit together.
    """

    factors: Mapping[str, Sequence[Factor]]
    name: ClassVar[str] = "factor-convolutions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [node for node in model.graph if node.name in self.factors]
        names = Names(model.graph)
        for node in found:
            chain = self.factors[node.name or ""]
            check_chain(node, chain)
            rewrite(model.graph, node, chain, names)
            logger.info("%s became a chain of %d", node.name, len(chain))
        return ir.passes.PassResult(model, modified=bool(found))


def rewrite(graph: ir.Graph, conv: ir.Node, chain: Sequence[Factor], names: Names) -> None:
    nodes = chain_nodes(graph, conv, chain, f"{conv.name}/factor", names)
    parameters = [parameter for parameter in conv.inputs[1:] if parameter is not None]
    ir.convenience.replace_nodes_and_values(
        graph, conv, [conv], nodes, conv.outputs, nodes[-1].outputs
    )
    for parameter in parameters:
        if not parameter.uses() and not parameter.is_graph_output():
            graph.initializers.pop(parameter.name or "", None)
