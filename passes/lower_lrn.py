"""Replace local response normalisations by a custom op that reads and writes NCHW.

Before: y = LRN<size = 5>(x).  After: y = LocalResponseNorm<size = 5, alpha, beta, bias>(x).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import float_image, is_standard

__all__ = ["LowerLrn"]

logger = logging.getLogger(__name__)

# What ONNX takes where the node says nothing; the op needs all attributes.
DEFAULTS = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}


@dataclass(frozen=True)
class LowerLrn(ir.passes.InPlacePass):
    """Turn every ``LRN`` of four float axes into ``op_type`` of ``domain``, in ``version``.

    ``known`` are the values of the graph with their types, as ``shapes.open_values`` gives them.
    """

    domain: str
    op_type: str
    version: int
    known: Mapping[str, ir.Value]
    name: ClassVar[str] = "lower-lrn"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        found = [
            node
            for node in model.graph
            if is_standard(node, "LRN") and float_image(node.inputs[0], self.known)
        ]
        for node in found:
            values = {key: node.attributes.get_float(key, DEFAULTS[key]) for key in DEFAULTS}
            made = ir.node(
                self.op_type,
                list(node.inputs),
                {"size": node.attributes.get_int("size"), **values},
                domain=self.domain,
                name=node.name,
            )
            ir.convenience.replace_nodes_and_values(
                model.graph, node, [node], [made], node.outputs, made.outputs
            )
            logger.info("%s became %s", node.name, self.op_type)
        if found:
            model.opset_imports[self.domain] = self.version
        return ir.passes.PassResult(model, modified=bool(found))
