"""Fold BatchNormalization into the convolution that feeds it.

With y = conv(x, W) + b and s = gamma / sqrt(var + eps), the normalised value is
conv(x, s * W) + s * (b - mean) + beta: another convolution, and no second op.
"""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.graph import constant_array, is_standard
from sparsepass.passes.affine import Affine, Match, match_affine, rewrite_affine

__all__ = ["FoldBatchNorm"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldBatchNorm(ir.passes.InPlacePass):
    """Turn ``BatchNormalization(Conv(x))`` into one ``Conv``."""

    name: ClassVar[str] = "fold-batchnorm"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold every normalisation whose Conv nothing else reads."""
        modified = False
        for node in model.graph:
            if not is_standard(node, "BatchNormalization"):
                continue
            found = match(node)
            if isinstance(found, str):
                logger.info("%s kept: %s", node.name, found)
                continue
            rewrite_affine(model.graph, found)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def match(norm: ir.Node) -> Match | str:
    """Return what folding ``norm`` needs, or the reason it cannot be folded."""
    if norm.attributes.get_int("training_mode", 0) or not norm.attributes.get_int("spatial", 1):
        return "it is not in inference mode"
    if any(value.uses() or value.is_graph_output() for value in norm.outputs[1:]):
        return "its statistics are read"
    parameters = [constant_array(value) for value in norm.inputs[1:]]
    known = [array.astype(np.float64) for array in parameters if array is not None]
    if len(known) != 4 or len({array.shape for array in known}) != 1:
        return "a parameter is not constant or does not fit the others"
    return match_affine(
        norm, norm.inputs[0], as_affine(known, norm.attributes.get_float("epsilon", 1e-5))
    )


def as_affine(parameters: list[NDArray[Any]], epsilon: float) -> Affine:
    gamma, beta, mean, variance = parameters
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
    return Affine(scale, beta - scale * mean)
