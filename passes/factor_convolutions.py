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
from sparsepass.errors import PlanError
from sparsepass.graph import constant_array
from sparsepass.passes.initializers import new_initializer

__all__ = ["FactorConvolutions"]

# What attributes are on the axes that a factor does not cover.
NEUTRAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "pads": 0}

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
        for node in found:
            chain = self.factors[node.name or ""]
            check(node, chain)
            rewrite(model.graph, node, chain)
            logger.info("%s became a chain of %d", node.name, len(chain))
        return ir.passes.PassResult(model, modified=bool(found))


def check(node: ir.Node, chain: Sequence[Factor]) -> None:
    weight = constant_array(node.inputs[1]) if node.op_type == "Conv" else None
    if weight is None or node.attributes.get_int("group", 1) != 1:
        raise PlanError(f"{node.name}: not an ungrouped Conv with a constant weight; keep it dense")
    filters, channels, *kernel = weight.shape
    widths = [channels, *(factor.weight.shape[0] for factor in chain)]
    fits = len(chain) > 0 and all(
        factor.weight.shape[1] == width
        and factor.bias.shape == factor.weight.shape[:1]
        and factor.weight.shape[2:]
        == tuple(k if factor.covers(axis) else 1 for axis, k in enumerate(kernel))
        for factor, width in zip(chain, widths, strict=False)
    )
    once = all(sum(factor.covers(axis) for factor in chain) == 1 for axis in range(len(kernel)))
    if not fits or widths[-1] != filters or not once:
        raise PlanError(f"{node.name}: its factors do not make the same convolution; plan it again")


def rewrite(graph: ir.Graph, conv: ir.Node, chain: Sequence[Factor]) -> None:
    nodes: list[ir.Node] = []
    value = conv.inputs[0]
    for position in range(len(chain)):
        node = factor_node(graph, conv, value, chain[: position + 1])
        nodes.append(node)
        value = node.outputs[0]
    parameters = [parameter for parameter in conv.inputs[1:] if parameter is not None]
    ir.convenience.replace_nodes_and_values(
        graph, conv, [conv], nodes, conv.outputs, nodes[-1].outputs
    )
    for parameter in parameters:
        if not parameter.uses() and not parameter.is_graph_output():
            graph.initializers.pop(parameter.name or "", None)


def factor_node(
    graph: ir.Graph, conv: ir.Node, source: ir.Value | None, chain: Sequence[Factor]
) -> ir.Node:
    """The node of the last factor of ``chain``, which begins with the first."""
    factor, name = chain[-1], f"{conv.name}/factor{len(chain) - 1}"
    weight = new_initializer(graph, f"{name}.weight", factor.weight)
    bias = new_initializer(graph, f"{name}.bias", factor.bias)
    node = ir.node("Conv", [source, weight, bias], attributes_of(conv, factor), name=name)
    (output,), (original,) = node.outputs, conv.outputs
    output.name, output.type = f"{name}.output", original.type
    if original.shape is not None:
        output.shape = ir.Shape([original.shape[0], len(factor.bias), *sizes_of(conv, chain)])
    return node


def attributes_of(conv: ir.Node, factor: Factor) -> dict[str, ir.Attr]:
    """Those of the convolution on the axes that the factor covers."""
    if not factor.spatial:
        return {}
    attributes = dict(conv.attributes)
    for name in (name for name in NEUTRAL if name in attributes and factor.axes is not None):
        values = attributes[name].as_ints()
        rank = len(factor.weight.shape) - 2
        kept = [v if factor.covers(i % rank) else NEUTRAL[name] for i, v in enumerate(values)]
        attributes[name] = ir.AttrInt64s(name, kept)
    return attributes


def sizes_of(conv: ir.Node, chain: Sequence[Factor]) -> list[int | ir.SymbolicDim]:
    """Spatial sizes behind ``chain``: the axes that it does not cover yet are the input's."""
    (source, *_), (result,) = conv.inputs, conv.outputs
    assert result.shape is not None
    after = result.shape[2:]
    before = source.shape[2:] if source and source.shape else [ir.SymbolicDim(None)] * len(after)
    covered = [any(factor.covers(axis) for factor in chain) for axis in range(len(after))]
    return [new if done else old for new, old, done in zip(after, before, covered, strict=True)]
