"""Fold BatchNormalization into the convolution that feeds it.

With y = conv(x, W) + b and s = gamma / sqrt(var + eps), the normalised value is
conv(x, s * W) + s * (b - mean) + beta: another convolution, and no second op.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import is_standard
from sparsepass.passes.affine import Match, match_affine, norm_as_affine, rewrite_affine
from sparsepass.passes.initializers import Names

__all__ = ["FoldBatchNorm"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldBatchNorm(ir.passes.InPlacePass):
    """Turn ``BatchNormalization(Conv(x))`` into one ``Conv``."""

    name: ClassVar[str] = "fold-batchnorm"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold every normalisation whose Conv nothing else reads."""
        modified, names = False, Names(model.graph)
        for node in model.graph:
            if not is_standard(node, "BatchNormalization"):
                continue
            found = match(node)
            if isinstance(found, str):
                logger.info("%s kept: %s", node.name, found)
                continue
            rewrite_affine(model.graph, found, names)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def match(norm: ir.Node) -> Match | str:
    """Return what folding ``norm`` needs, or the reason it cannot be folded."""
    affine = norm_as_affine(norm)
    return affine if isinstance(affine, str) else match_affine(norm, norm.inputs[0], affine)
