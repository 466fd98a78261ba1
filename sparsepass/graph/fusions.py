"""What a layer can absorb: a residual Add and an activation function that nothing else reads."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import onnx_ir as ir

from sparsepass.graph.values import clip_bounds, is_read_once, is_standard
from sparsepass.layer import Epilogue
from sparsepass.shapes import open_shapes

__all__ = ["Fusion", "fusions"]


@dataclass(frozen=True)
class Fusion:
    """A layer's node, then the nodes it absorbs, in order.

    ``residual`` is the other operand of an absorbed Add.  One op in the place of the last node can
    replace them all: everything it reads is made before.
    """

    nodes: tuple[ir.Node, ...]
    residual: ir.Value | None = None
    epilogue: Epilogue = field(default_factory=Epilogue)

    @property
    def output(self) -> ir.Value:
        """The value that the fused op makes."""
        return self.nodes[-1].outputs[0]


def fusions(
    model: ir.Model, names: Collection[str], shapes: Mapping[str, ir.Shape] | None = None
) -> dict[str, Fusion]:
    """Return what each of the layers ``names`` can absorb, in topological order.

    An Add belongs to one layer: where both operands come from layers, to the later one, whose
    residual is then ready.  ``shapes`` are those of the values, see ``shapes.open_shapes``.
    """
    shapes = open_shapes(model) if shapes is None else shapes
    taken: set[ir.Node] = set()
    found: dict[str, Fusion] = {}
    for node in reversed(model.graph):
        if node.name is not None and node.name in names:
            fusion = match(node, shapes, taken)
            found[node.name] = fusion
            taken.update(fusion.nodes)
    return dict(reversed(found.items()))


def match(node: ir.Node, shapes: Mapping[str, ir.Shape], taken: AbstractSet[ir.Node]) -> Fusion:
    """Return the longest chain after ``node`` that none of ``taken`` is part of."""
    nodes, residual = [node], None
    follower = sole_reader(node)
    if follower is not None and follower not in taken:
        residual = other_operand(follower, node.outputs[0], shapes)
        if residual is not None:
            nodes.append(follower)
    ending, epilogue = activation_function(nodes[-1], residual is not None)
    if taken.isdisjoint(ending):
        return Fusion((*nodes, *ending), residual, epilogue)
    return Fusion(tuple(nodes), residual, Epilogue(residual=residual is not None))


def sole_reader(node: ir.Node) -> ir.Node | None:
    """Return the one node that reads the output of ``node``, if nothing else does."""
    output = node.outputs[0]
    if not is_read_once(output):
        return None
    reader = next(iter(output.uses())).node
    return reader if reader.graph is node.graph else None


def other_operand(
    node: ir.Node, operand: ir.Value, shapes: Mapping[str, ir.Shape]
) -> ir.Value | None:
    """Return what an Add adds to ``operand``, where both are surely of one shape."""
    if not is_standard(node, "Add"):
        return None
    left, right = node.inputs
    other = right if left is operand else left
    if other is None:
        return None
    own, its = shapes.get(operand.name or ""), shapes.get(other.name or "")
    return other if own is not None and its is not None and same_shape(own, its) else None


def same_shape(left: ir.Shape, right: ir.Shape) -> bool:
    """Tell whether two shapes are equal for every input; sizes without a name may differ."""
    return len(left) == len(right) and all(
        a == b and (isinstance(a, int) or a.value is not None)
        for a, b in zip(left, right, strict=True)
    )


def activation_function(node: ir.Node, residual: bool) -> tuple[tuple[ir.Node, ...], Epilogue]:
    """Return the nodes of the activation function of ``node``'s output, and the epilogue with it.

    Without a known one, no nodes.
    """
    if gated := gate(node):
        smooth = "Silu" if gated[0].op_type == "Sigmoid" else "HardSwish"
        return gated, Epilogue(residual, smooth)
    follower = sole_reader(node)
    epilogue = None if follower is None else of_one_node(follower, residual)
    if follower is None or epilogue is None:
        return (), Epilogue(residual)
    return (follower,), epilogue


def of_one_node(node: ir.Node, residual: bool) -> Epilogue | None:
    """Return the epilogue that ends in ``node``, or None where it is no activation function."""
    if is_standard(node, "Relu"):
        return Epilogue(residual, "Relu")
    if is_standard(node, "HardSwish"):
        return Epilogue(residual, "HardSwish")
    if is_standard(node, "LeakyRelu"):
        return Epilogue(residual, "LeakyRelu", alpha=node.attributes.get_float("alpha", 0.01))
    if is_standard(node, "Clip"):
        bounds = clip_bounds(node)
        if bounds is not None and bounds[0] <= bounds[1]:
            return Epilogue(residual, "Clip", low=bounds[0], high=bounds[1])
    return None


def gate(node: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    """Return the gate and the Mul of y = x * gate(x) for the output x of ``node``, or None."""
    output = node.outputs[0]
    readers = [use.node for use in output.uses()]
    if len(readers) != 2 or output.is_graph_output():
        return None
    gates = [reader for reader in readers if is_gate(reader)]
    products = [reader for reader in readers if is_standard(reader, "Mul")]
    if len(gates) != 1 or len(products) != 1 or any(r.graph is not node.graph for r in readers):
        return None
    (gate,), (product,) = gates, products
    return (gate, product) if sole_reader(gate) is product else None


def is_gate(node: ir.Node) -> bool:
    """Tell whether ``node`` is a sigmoid, or the hard one of HardSwish."""
    if is_standard(node, "HardSigmoid"):
        alpha = node.attributes.get_float("alpha", 0.2)
        return abs(alpha - 1 / 6) < 1e-6 and node.attributes.get_float("beta", 0.5) == 0.5
    return is_standard(node, "Sigmoid")
