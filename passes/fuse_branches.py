"""Replace two sparse convolutions of one input, and the Concat of their outputs, by one custom op.

Before: a = SparseConvRelu(x, ...), b = SparseConvRelu(x, ...), y = Concat<axis = 1>(a, b).
After: y = SparseConvPairRelu(x, ...), whose parts are written where the Concat would copy them.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import is_read_once, is_standard

__all__ = ["FuseBranches", "Pair"]

logger = logging.getLogger(__name__)

IMAGE_RANK = 4


@dataclass(frozen=True)
class Pair:
    """The op for two convolutions of one op type.

    ``shared`` attributes belong to both convolutions and must be equal; the names of all others end
    in ``second`` where they belong to the second one.
    """

    op_type: str
    shared: tuple[str, ...]
    second: str


@dataclass(frozen=True)
class FuseBranches(ir.passes.InPlacePass):
    """Fuse pairs of nodes of the ``domain`` whose op type is among ``pairs``."""

    domain: str
    pairs: Mapping[str, Pair]
    name: ClassVar[str] = "fuse-branches"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        modified = False
        for node in list(model.graph):
            branches = self.branches(node)
            if branches is not None:
                first, second = branches
                fuse(model.graph, first, second, node, self.pairs[first.op_type])
                logger.info("%s and %s became one", first.name, second.name)
                modified = True
        return ir.passes.PassResult(model, modified=modified)

    def branches(self, node: ir.Node) -> tuple[ir.Node, ir.Node] | None:
        """The two convolutions that ``node`` concatenates and nothing else reads, or None."""
        if not is_standard(node, "Concat") or len(node.inputs) != 2:
            return None
        if node.attributes.get_int("axis") not in (1, 1 - IMAGE_RANK):
            return None
        left, right = node.inputs
        if left is None or right is None or not (is_read_once(left) and is_read_once(right)):
            return None
        first, second = left.producer(), right.producer()
        if first is None or second is None:
            return None
        if first.domain != self.domain or second.domain != self.domain:
            return None
        pair = self.pairs.get(first.op_type)
        alike = (
            pair is not None
            and first.op_type == second.op_type
            and first.inputs[0] is second.inputs[0]
            and all(first.attributes[n].value == second.attributes[n].value for n in pair.shared)
        )
        return (first, second) if alike else None


def fuse(graph: ir.Graph, first: ir.Node, second: ir.Node, concat: ir.Node, pair: Pair) -> None:
    shared = {name: first.attributes[name] for name in pair.shared}
    own = {name: a for name, a in first.attributes.items() if name not in shared}
    its = {
        name + pair.second: ir.Attr(name + pair.second, attribute.type, attribute.value)
        for name, attribute in second.attributes.items()
        if name not in shared
    }
    node = ir.Node(
        first.domain,
        pair.op_type,
        [*first.inputs, *second.inputs[1:]],
        (*own.values(), *its.values(), *shared.values()),
        name=concat.name,
        metadata_props=dict(first.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, concat, [first, second, concat], [node], concat.outputs, node.outputs
    )
