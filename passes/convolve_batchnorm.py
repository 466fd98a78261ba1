"""Turn a BatchNormalization that no convolution absorbs into a depthwise convolution of kernel 1.

Before: y = BatchNormalization(x, ...).  After: y = Conv<group = C>(x, W, b), W of (C, 1, 1, 1).
ONNX Runtime does the same where it blocks channels; as a layer it can absorb the activation
function behind it and keep the layout of its neighbours.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from sparsepass.graph import float_image, is_standard
from sparsepass.passes.affine import norm_as_affine
from sparsepass.passes.initializers import Names, new_initializer
from sparsepass.shapes import open_values

__all__ = ["ConvolveBatchNorm"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConvolveBatchNorm(ir.passes.InPlacePass):
    """Turn ``BatchNormalization`` of float images with known channels into ``Conv``."""

    name: ClassVar[str] = "convolve-batchnorm"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        norms = [node for node in model.graph if is_standard(node, "BatchNormalization")]
        known = open_values(model) if norms else {}
        modified, names = False, Names(model.graph)
        for norm in norms:
            shape = float_image(norm.inputs[0], known)
            affine = norm_as_affine(norm)
            if shape is None or isinstance(affine, str) or affine.scale.shape != (shape[1],):
                logger.info("%s kept: %s", norm.name, affine if isinstance(affine, str) else shape)
                continue
            with np.errstate(over="ignore"):
                scale, shift = (a.astype(np.float32) for a in (affine.scale, affine.shift))
            if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
                continue
            stem = norm.outputs[0].name
            per_filter = scale.reshape(-1, 1, 1, 1)
            weight = new_initializer(model.graph, f"{stem}.weight", per_filter, names)
            bias = new_initializer(model.graph, f"{stem}.bias", shift, names)
            conv = ir.node(
                "Conv", [norm.inputs[0], weight, bias], {"group": len(scale)}, name=norm.name
            )
            ir.convenience.replace_nodes_and_values(
                model.graph, norm, [norm], [conv], norm.outputs[:1], conv.outputs
            )
            modified = True
        return ir.passes.PassResult(model, modified=modified)
