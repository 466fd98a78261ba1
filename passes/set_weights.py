"""Give convolutions and Gemm products other weights and biases, of the same shapes.

The graph stays what it was: a weight that others read too gets a copy, a bias that is absent an
initializer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from sparsepass.graph import constant_array, is_standard
from sparsepass.layer import Array
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["SetWeights"]


@dataclass(frozen=True)
class SetWeights(ir.passes.InPlacePass):
    """Set the weights of nodes by name, as ``Layer`` has them: (filters, channels, *kernel).

    ``names`` are those that initializers of weights should have, by node; a bias that is new is
    named after the weight.
    """

    weights: Mapping[str, tuple[Array, Array]]
    names: Mapping[str, str]

    name: ClassVar[str] = "set-weights"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Set those that differ from what is there."""
        modified, names = False, Names(model.graph)
        for node in model.graph:
            own = node.name or ""
            if own in self.weights and is_standard(node, "Conv", "Gemm"):
                weight, bias = self.weights[own]
                count_again(node)
                stem = self.names.get(own) or (node.inputs[1] or node.outputs[0]).name or ""
                stored = stored_weight(node, weight)
                changed = put(model.graph, node, 1, stem, stored, names)
                stored = stored_bias(node, bias)
                added = put(model.graph, node, 2, bias_name(node, stem), stored, names)
                modified = changed or added or modified
        return ir.passes.PassResult(model, modified=modified)


def count_again(node: ir.Node) -> None:
    """Let a Gemm read its weight and bias where it multiplies them by 0."""
    for factor in ("alpha", "beta"):
        if node.op_type == "Gemm" and node.attributes.get_float(factor, 1.0) == 0:
            node.attributes[factor] = ir.AttrFloat32(factor, 1.0)


def bias_name(node: ir.Node, weight_name: str) -> str:
    """The name that the bias has, or one like that of the weight."""
    present = node.inputs[2] if len(node.inputs) > 2 else None
    if present is not None and present.name:
        return present.name
    return f"{weight_name.removesuffix('.weight')}.bias"


def stored_weight(node: ir.Node, weight: Array) -> Array:
    """A weight as the node reads it: a Gemm may transpose it and scale it."""
    if node.op_type == "Conv":
        return weight
    oriented = weight if node.attributes.get_int("transB", 0) else weight.T
    return np.ascontiguousarray(oriented / np.float32(node.attributes.get_float("alpha", 1.0)))


def stored_bias(node: ir.Node, bias: Array) -> Array:
    if node.op_type == "Conv":
        return bias
    return bias / np.float32(node.attributes.get_float("beta", 1.0))


def put(
    graph: ir.Graph, node: ir.Node, position: int, name: str, array: Array, names: Names
) -> bool:
    """Let the node read ``array`` from an initializer called ``name``; false where it did."""
    node.resize_inputs(max(len(node.inputs), position + 1))
    before = node.inputs[position]
    present = constant_array(before)
    shape = array.shape if present is None or present.size != array.size else present.shape
    same = present is not None and np.array_equal(present, array.reshape(shape))
    if before is None and not array.any():
        return False
    if before is not None and same and before.name == name:
        return False
    if before is not None and len(before.uses()) == 1 and before.is_initializer():
        node.replace_input_with(position, None)
        graph.initializers.pop(before.name or "")
        names.release(before.name or "")
    node.replace_input_with(position, new_initializer(graph, name, array.reshape(shape), names))
    return True
