"""Replace calls of model-local functions by their bodies.

Only standard ops are left, so the layers inside functions are seen, and a model that sparsepass
wrote before is planned again from the start.
"""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from sparsepass.errors import ModelError

__all__ = ["InlineFunctions"]


@dataclass(frozen=True)
class InlineFunctions(ir.passes.InPlacePass):
    """Inline every model-local function; raises ModelError where a body needs another opset."""

    name: ClassVar[str] = "inline-functions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inline, and drop the functions that nothing calls."""
        had_functions = bool(model.functions)
        try:
            InlinePass()(model)
        except (ValueError, ir.passes.PassError) as error:
            cause = error.__cause__ or error
            raise ModelError(f"{model.graph.name}: {cause}; inline the functions before") from error
        model.functions.clear()
        used = {node.domain for node in model.graph.all_nodes()} | {""}
        for domain in set(model.graph.opset_imports) - used:
            del model.graph.opset_imports[domain]
        return ir.passes.PassResult(model, modified=had_functions)
