"""Chains of convolutions in the place of one, or beside it."""

from collections.abc import Sequence

import onnx_ir as ir

from sparsepass.algorithms import Factor
from sparsepass.errors import PlanError
from sparsepass.graph import constant_array
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["chain_nodes", "check_chain"]

# What attributes are on the axes that a factor does not cover.
NEUTRAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "pads": 0}


def check_chain(node: ir.Node, chain: Sequence[Factor]) -> None:
    """Raise PlanError where ``node`` is no ungrouped ``Conv``, or the chain is not of its shape."""
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


def chain_nodes(
    graph: ir.Graph, conv: ir.Node, chain: Sequence[Factor], stem: str, names: Names
) -> list[ir.Node]:
    """The nodes of a chain that reads what ``conv`` reads, named ``stem`` and their number.

    They are not in the graph yet; their weights are.
    """
    nodes: list[ir.Node] = []
    value = conv.inputs[0]
    for position in range(len(chain)):
        node = factor_node(graph, conv, value, chain[: position + 1], f"{stem}{position}", names)
        nodes.append(node)
        value = node.outputs[0]
    return nodes


def factor_node(
    graph: ir.Graph,
    conv: ir.Node,
    source: ir.Value | None,
    chain: Sequence[Factor],
    name: str,
    names: Names,
) -> ir.Node:
    """The node of the last factor of ``chain``, which begins with the first."""
    factor = chain[-1]
    weight = new_initializer(graph, f"{name}.weight", factor.weight, names)
    bias = new_initializer(graph, f"{name}.bias", factor.bias, names)
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
