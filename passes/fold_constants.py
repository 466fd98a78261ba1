"""Compute at optimization time what does not depend on the input.

Exporters leave shape arithmetic (Shape, Gather, Unsqueeze, Concat) and weights behind a Reshape or
a Transpose; layers are seen only where their weights are constants.
"""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from sparsepass.graph import RANDOM, bodies, constant_array
from sparsepass.passes.initializers import Names, new_initializer
from sparsepass.shapes import open_shapes

__all__ = ["FoldConstants"]

logger = logging.getLogger(__name__)

# A quantized weight stays quantized: ONNX Runtime recognises the pattern.
KEPT = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
# Operators that the evaluator knows under their later name, and the opset of that.
RENAMED = {"Scatter": ("ScatterElements", 11)}
MOST_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class FoldConstants(ir.passes.InPlacePass):
    """Replace nodes with constant inputs, and Shape of a known shape, by initializers."""

    name: ClassVar[str] = "fold-constants"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold until nothing changes: what is folded makes further shapes known."""
        lift = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
        modified = bool(lift(model).modified)
        while fold_once(model):
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def fold_once(model: ir.Model) -> bool:
    shapes, names = open_shapes(model), Names(model.graph)
    folded = False
    for node in list(model.graph):
        values = constant_outputs(node, shapes, model.graph.opset_imports)
        if values is None:
            continue
        for output, array in zip(node.outputs, values, strict=True):
            constant = new_initializer(model.graph, f"{output.name}.folded", array, names)
            ir.convenience.replace_all_uses_with(output, constant)
        model.graph.remove(node, safe=True)
        folded = True
    return folded


def constant_outputs(
    node: ir.Node, shapes: dict[str, ir.Shape], opsets: dict[str, int]
) -> list[NDArray[Any]] | None:
    """Return what ``node`` always gives, or None where it depends on an input or must stay."""
    if (
        node.domain != ""
        or node.op_type in (*KEPT, *RANDOM)
        or any(v.is_graph_output() for v in node.outputs)
    ):
        return None
    if bodies(node):
        return None
    if node.op_type == "Shape":
        return shape_output(node, shapes)
    inputs = {value.name or "": constant_array(value) for value in node.inputs if value is not None}
    known = {name: array for name, array in inputs.items() if array is not None}
    small = all(is_small(shapes.get(value.name or "")) for value in node.outputs)
    if not known or len(known) < len(inputs) or not small:
        return None
    return evaluate(node, known, opsets)


def is_small(shape: ir.Shape | None) -> bool:
    return (
        shape is not None
        and shape.is_static()
        and int(np.prod(shape.numpy(), dtype=object)) <= MOST_ELEMENTS
    )


def shape_output(node: ir.Node, shapes: dict[str, ir.Shape]) -> list[NDArray[Any]] | None:
    source = node.inputs[0]
    shape = shapes.get(source.name or "") if source is not None else None
    if shape is None or not shape.is_static():
        return None
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape))
    return [np.array(shape.numpy()[start:end], np.int64)]


def evaluate(
    node: ir.Node, inputs: dict[str, NDArray[Any]], opsets: dict[str, int]
) -> list[NDArray[Any]] | None:
    proto, version = ir.to_proto(node), opsets.get("", onnx.defs.onnx_opset_version())
    if proto.op_type in RENAMED:
        proto.op_type, version = RENAMED[proto.op_type]
    types = [typed(name, array) for name, array in inputs.items()]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "constant", types, results)
    opset = onnx.helper.make_opsetid("", version)
    try:
        evaluator = cast(Any, ReferenceEvaluator)(
            onnx.helper.make_model(graph, opset_imports=[opset])
        )
        values: list[Any] = evaluator.run(None, inputs)
    except (
        ArithmeticError,
        IndexError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        logger.info("%s %s kept: %s", node.op_type, node.name, error)
        return None
    is_array = [isinstance(value, np.ndarray) for value in values]
    return values if all(is_array) and len(values) == len(node.outputs) else None


def typed(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)
