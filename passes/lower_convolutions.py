"""Replace convolutions, with what follows them, by one custom op each.

Before: c = Conv(x, W, b), s = Add(c, r), y = Relu(s).  After: y = SparseConvAddRelu(x, ..., b, r).
The op takes the place of the last node of the chain, where everything it reads has been made.  A
1-D convolution becomes a 2-D one of height 1 between two Reshapes.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.errors import PlanError
from sparsepass.graph import Fusion, fusions
from sparsepass.passes.initializers import new_initializer

__all__ = ["LowerConvolutions", "Replacement"]

logger = logging.getLogger(__name__)

Attribute = int | float | Sequence[int] | ir.TensorProtocol


@dataclass(frozen=True)
class Replacement:
    """A custom op for one layer: constants come after the input, in the order of the op.

    ``rank`` is the number of spatial axes of the layer, ``metadata`` what the node says of itself.
    """

    domain: str
    op_type: str
    constants: tuple[tuple[str, NDArray[np.float32] | NDArray[np.int32]], ...]
    attributes: Mapping[str, Attribute]
    rank: int
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class LowerConvolutions(ir.passes.InPlacePass):
    """Replace each named layer by its op.  ``version`` is that of the ops' domain.

    A name that no node has is left alone, so that a second run changes nothing.
    """

    replacements: Mapping[str, Replacement]
    version: int = 1
    name: ClassVar[str] = "lower-convolutions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = fusions(
            model,
            {
                node.name
                for node in model.graph
                if node.name in self.replacements
                and node.domain != self.replacements[node.name].domain
            },
        )
        for name, fusion in found.items():
            replacement = self.replacements[name]
            rewrite(model.graph, fusion, replacement)
            model.opset_imports[replacement.domain] = self.version
            logger.info("%s became %s", name, replacement.op_type)
        return ir.passes.PassResult(model, modified=bool(found))


def rewrite(graph: ir.Graph, fusion: Fusion, replacement: Replacement) -> None:
    conv, last = fusion.nodes[0], fusion.nodes[-1]
    source = conv.inputs[0]
    if source is None:
        raise PlanError(f"{conv.name}: has no input; plan it again")
    constants = [
        new_initializer(graph, f"{conv.name}.{name}", array)
        for name, array in replacement.constants
    ]
    maps = [source]
    if fusion.residual is not None:
        # Read it from the Add: an earlier replacement may have changed what makes it.
        maps += [v for v in fusion.nodes[1].inputs if v is not conv.outputs[0] and v is not None]
    before: list[ir.Node] = []
    if replacement.rank == 1:
        before = [reshape(graph, value, [0, 0, 1, -1], f"{conv.name}/wide") for value in maps]
        maps = [node.outputs[0] for node in before]
    node = ir.node(
        replacement.op_type,
        [maps[0], *constants, *maps[1:]],
        dict(replacement.attributes),
        domain=replacement.domain,
        name=conv.name,
        metadata_props=dict(replacement.metadata),
    )
    nodes = [*before, node]
    if replacement.rank == 1:
        node.outputs[0].name = f"{conv.name}/wide.output"
        nodes.append(reshape(graph, node.outputs[0], [0, 0, -1], f"{conv.name}/narrow"))
    weights = [value for value in conv.inputs[1:] if value is not None]
    ir.convenience.replace_nodes_and_values(
        graph, last, fusion.nodes, nodes, last.outputs, nodes[-1].outputs
    )
    for value in weights:
        if not value.uses() and not value.is_graph_output():
            graph.initializers.pop(value.name or "", None)


def reshape(graph: ir.Graph, value: ir.Value, sizes: Sequence[int], name: str) -> ir.Node:
    target = new_initializer(graph, f"{name}.shape", np.array(sizes, np.int64))
    node = ir.node("Reshape", [value, target], name=f"{name}.{value.name}")
    node.outputs[0].name = f"{name}.{value.name}.output"
    return node
