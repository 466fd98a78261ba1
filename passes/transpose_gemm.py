"""Transpose the first operand of a Gemm by a node of its own.

Before: y = Gemm<transA = 1>(a, W, b).  After: y = Gemm(Transpose(a), W, b).
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import constant_array, is_standard

__all__ = ["TransposeGemm"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransposeGemm(ir.passes.InPlacePass):
    """Clear ``transA`` of every Gemm with a constant weight: layers read rows of inputs.

    ONNX Runtime joins the two again where the Gemm stays as it is.
    """

    name: ClassVar[str] = "transpose-gemm"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [
            node
            for node in model.graph
            if is_standard(node, "Gemm")
            and node.attributes.get_int("transA", 0)
            and constant_array(node.inputs[1]) is not None
        ]
        for node in found:
            source = node.inputs[0]
            assert source is not None
            made = ir.node("Transpose", [source], {"perm": [1, 0]}, name=f"{node.name}/transpose")
            model.graph.insert_before(node, made)
            node.replace_input_with(0, made.outputs[0])
            del node.attributes["transA"]
            logger.info("%s reads its transposed input", node.name)
        return ir.passes.PassResult(model, modified=bool(found))
