"""Take constants out of the inputs of a model.

Exporters of IR version 3 listed every initializer as an input too, which makes it a default that
a caller may replace: no tool may then treat it as a constant.
"""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

__all__ = ["ConstantInputs"]

# The first IR version in which an initializer need not be an input.
FREE_INITIALIZERS_IR = 4


@dataclass(frozen=True)
class ConstantInputs(ir.passes.InPlacePass):
    """Remove from the inputs what an initializer gives; real inputs stay."""

    name: ClassVar[str] = "constant-inputs"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove them, raising an older IR version to 4."""
        modified = bool(RemoveInitializersFromInputsPass()(model).modified)
        if modified and model.ir_version < FREE_INITIALIZERS_IR:
            model.ir_version = FREE_INITIALIZERS_IR
        return ir.passes.PassResult(model, modified=modified)
