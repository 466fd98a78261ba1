"""Remove what has no effect: Identity nodes, and nodes and constants that nothing reads."""

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import IdentityEliminationPass, RemoveUnusedNodesPass

__all__ = ["RemoveUnused"]


@dataclass(frozen=True)
class RemoveUnused(ir.passes.InPlacePass):
    """Remove Identity nodes, dead nodes and dead constants; outputs keep their names."""

    name: ClassVar[str] = "remove-unused"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove them."""
        identities = bool(IdentityEliminationPass()(model).modified)
        unused = bool(RemoveUnusedNodesPass()(model).modified)
        return ir.passes.PassResult(model, modified=identities or unused)
