"""Replace convolutions, with what follows them, by one custom op each.

Before: c = Conv(x, W, b), s = Add(c, r), y = Relu(s).  After: y = SparseConvAddRelu(x, ..., b, r).
The op takes the place of the last node of the chain, where everything it reads has been made.  What
has no two spatial axes is given them, and loses them again (see ``feature_maps``).
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
from sparsepass.passes.feature_maps import Adapter
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["LowerConvolutions", "Replacement"]

logger = logging.getLogger(__name__)

Attribute = int | float | Sequence[int] | ir.TensorProtocol


@dataclass(frozen=True)
class Replacement:
    """A custom op for one layer: constants come after the input, in the order of the op.

    ``rank`` is the number of spatial axes of the layer, 0 for a product; ``channels`` are those of
    its input, ``filters`` of its output; ``metadata`` is what the node says of itself.
    """

    domain: str
    op_type: str
    constants: tuple[tuple[str, NDArray[np.float32] | NDArray[np.int32]], ...]
    attributes: Mapping[str, Attribute]
    rank: int
    channels: int
    filters: int
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class LowerConvolutions(ir.passes.InPlacePass):
    """Replace each named layer by its op.  ``version`` is that of the ops' domain.

    ``shapes`` are those of the values, see ``fusions``.  A name that no node has is left alone, so
    that a second run changes nothing.
    """

    replacements: Mapping[str, Replacement]
    version: int = 1
    shapes: Mapping[str, ir.Shape] | None = None
    name: ClassVar[str] = "lower-convolutions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        domains = {node.name: node.domain for node in model.graph}
        waiting = [
            name
            for name, replacement in self.replacements.items()
            if domains.get(name, replacement.domain) != replacement.domain
        ]
        found = fusions(model, waiting, self.shapes)
        names = Names(model.graph)
        for name, fusion in found.items():
            replacement = self.replacements[name]
            around = Adapter(
                model.graph,
                names,
                name,
                replacement.rank,
                self.may_be_empty(fusion.nodes[0]),
            )
            rewrite(around, fusion, replacement)
            model.opset_imports[replacement.domain] = self.version
            logger.info("%s became %s", name, replacement.op_type)
        return ir.passes.PassResult(model, modified=bool(found))

    def may_be_empty(self, conv: ir.Node) -> bool:
        """Whether the input of a layer has a size that is known at run time only."""
        source = conv.inputs[0]
        shape = None if source is None else (self.shapes or {}).get(source.name or "", source.shape)
        return shape is None or not shape.is_static()


def rewrite(around: Adapter, fusion: Fusion, replacement: Replacement) -> None:
    graph, conv, last = around.graph, fusion.nodes[0], fusion.nodes[-1]
    source = conv.inputs[0]
    if source is None:
        raise PlanError(f"{conv.name}: has no input; plan it again")
    constants = [
        new_initializer(graph, f"{conv.name}.{name}", array, around.names)
        for name, array in replacement.constants
    ]
    maps = [around.widen(source, replacement.channels)]
    if fusion.residual is not None:
        # Read it from the Add: an earlier replacement may have changed what makes it.
        left, right = fusion.nodes[1].inputs
        residual = right if left is conv.outputs[0] else left
        if residual is not None:
            maps.append(around.widen(residual, replacement.filters))
    node = ir.node(
        replacement.op_type,
        [maps[0], *constants, *maps[1:]],
        dict(replacement.attributes),
        domain=replacement.domain,
        name=conv.name,
        metadata_props=dict(replacement.metadata),
    )
    around.narrow(node.outputs[0], replacement.filters, source)
    nodes = [*around.before, node, *around.after]
    weights = [value for value in conv.inputs[1:] if value is not None]
    ir.convenience.replace_nodes_and_values(
        graph, last, fusion.nodes, nodes, last.outputs, nodes[-1].outputs
    )
    for value in weights:
        if not value.uses() and not value.is_graph_output():
            graph.initializers.pop(value.name or "", None)
