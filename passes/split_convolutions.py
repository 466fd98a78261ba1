"""Replace convolutions by sums of plain ones whose weights have a structure.

Before: y = Conv(x, W, b).  After: y = Add(Conv(x, W0, b), Conv(x, W1)), and so on, where at most N
of every M neighbouring input channels of a filter and tap are not zero: what runtimes with hardware
for structured sparsity look for.  A series of one term is one convolution.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from sparsepass.algorithms import Term
from sparsepass.errors import PlanError
from sparsepass.graph import constant_array
from sparsepass.layer import Array
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["Split", "SplitConvolutions"]

logger = logging.getLogger(__name__)

# What a convolution says of the structure of its weight, such as 2:4.
PATTERN = "sparsepass.pattern"


@dataclass(frozen=True)
class Split:
    """The terms that a convolution becomes a sum of, and its bias."""

    terms: Sequence[Term]
    bias: Array


@dataclass(frozen=True)
class SplitConvolutions(ir.passes.InPlacePass):
    """Replace each named ``Conv`` by the sum of its terms.

    ``splits`` maps node names to terms.  The convolutions are named ``<node>/term0`` and so on,
    each says its pattern in its metadata.  A name that no node has is left alone, so that a second
    run changes nothing.  Raises PlanError where a node is no ``Conv``, or a term does not fit it or
    does not have its pattern.
    """

    splits: Mapping[str, Split]
    name: ClassVar[str] = "split-convolutions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [node for node in model.graph if node.name in self.splits]
        names = Names(model.graph)
        for node in found:
            split = self.splits[node.name or ""]
            check(node, split)
            rewrite(model.graph, node, split, names)
            logger.info("%s became a sum of %d", node.name, len(split.terms))
        return ir.passes.PassResult(model, modified=bool(found))


def check(node: ir.Node, split: Split) -> None:
    weight = constant_array(node.inputs[1]) if node.op_type == "Conv" else None
    if weight is None:
        raise PlanError(f"{node.name}: not a Conv with a constant weight; keep it dense")
    shapes = {term.weight.shape for term in split.terms}
    if shapes != {weight.shape} or split.bias.shape != weight.shape[:1]:
        raise PlanError(f"{node.name}: its terms do not make the same convolution; plan it again")
    for term in split.terms:
        if most_kept(term) > term.kept:
            raise PlanError(f"{node.name}: a term is not {term.pattern}; plan it again")


def most_kept(term: Term) -> int:
    """The most non-zeros of a block of neighbouring input channels."""
    starts = range(0, term.weight.shape[1], term.block)
    return int(np.add.reduceat(term.weight != 0, starts, axis=1, dtype=np.intp).max(initial=0))


def rewrite(graph: ir.Graph, conv: ir.Node, split: Split, names: Names) -> None:
    nodes: list[ir.Node] = []
    total: ir.Value | None = None
    for position, term in enumerate(split.terms):
        bias = split.bias if position == 0 else None
        node = term_node(graph, conv, term, bias, position, names)
        nodes.append(node)
        if total is None:
            total = node.outputs[0]
            continue
        last = position == len(split.terms) - 1
        name = f"{conv.name}/sum" if last else f"{conv.name}/sum{position}"
        add = ir.node("Add", [total, node.outputs[0]], name=name)
        nodes.append(add)
        total = describe(add, conv)
    parameters = [parameter for parameter in conv.inputs[1:] if parameter is not None]
    ir.convenience.replace_nodes_and_values(
        graph, conv, [conv], nodes, conv.outputs, nodes[-1].outputs
    )
    for parameter in parameters:
        if not parameter.uses() and not parameter.is_graph_output():
            graph.initializers.pop(parameter.name or "", None)


def term_node(
    graph: ir.Graph,
    conv: ir.Node,
    term: Term,
    bias: Array | None,
    position: int,
    names: Names,
) -> ir.Node:
    name = f"{conv.name}/term{position}"
    constants = [new_initializer(graph, f"{name}.weight", term.weight, names)]
    if bias is not None:
        constants.append(new_initializer(graph, f"{name}.bias", bias, names))
    node = ir.node(
        "Conv",
        [conv.inputs[0], *constants],
        dict(conv.attributes),
        name=name,
        metadata_props={PATTERN: term.pattern},
    )
    describe(node, conv)
    return node


def describe(node: ir.Node, conv: ir.Node) -> ir.Value:
    """Give the output of ``node`` a name, and the type and shape of that of ``conv``."""
    (output,), (original,) = node.outputs, conv.outputs
    output.name = f"{node.name}.output"
    output.type, output.shape = original.type, original.shape
    return output
