"""Fold Mul, Div, Add and Sub by a constant per channel into the convolution before them."""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.graph import constant_array, is_standard
from sparsepass.passes.affine import Affine, Match, match_affine, rewrite_affine
from sparsepass.passes.initializers import Names

__all__ = ["FoldScale"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldScale(ir.passes.InPlacePass):
    """Turn ``Conv(x) * s`` and ``Conv(x) + t`` into one ``Conv``, s and t constant per filter."""

    name: ClassVar[str] = "fold-scale"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold each node in turn, so that chains of them fold too."""
        modified, names = False, Names(model.graph)
        for node in model.graph:
            if not is_standard(node, "Mul", "Div", "Add", "Sub"):
                continue
            found = match(node)
            if isinstance(found, str):
                logger.debug("%s kept: %s", node.name, found)
                continue
            rewrite_affine(model.graph, found, names)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def match(node: ir.Node) -> Match | str:
    """Return what folding ``node`` needs, or the reason it cannot be folded."""
    left, right = node.inputs
    constant, source = constant_array(right), left
    if constant is None and node.op_type in ("Mul", "Add"):
        constant, source = constant_array(left), right
    conv = source.producer() if source is not None else None
    if constant is None or conv is None or not is_standard(conv, "Conv"):
        return "not a constant after a Conv"
    weight = conv.inputs[1]
    shape = weight.shape if weight is not None else None
    if shape is None or not shape.is_static():
        return "its Conv has no known weight"
    values = per_channel(constant, shape.numpy()[0], len(shape))
    if values is None:
        return "its constant is not one value per channel"
    return match_affine(node, source, as_affine(node.op_type, values))


def per_channel(constant: NDArray[Any], filters: int, rank: int) -> NDArray[np.float64] | None:
    """Return ``constant`` as (filters,) where it broadcasts over batch and image only."""
    if constant.ndim > rank or constant.dtype != np.float32:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if shape[1] not in (1, filters) or any(
        size != 1 for axis, size in enumerate(shape) if axis != 1
    ):
        return None
    return np.broadcast_to(constant.astype(np.float64).reshape(-1), filters)


def as_affine(op_type: str, values: NDArray[np.float64]) -> Affine:
    one, zero = np.ones_like(values), np.zeros_like(values)
    if op_type in ("Add", "Sub"):
        return Affine(one, values if op_type == "Add" else -values)
    with np.errstate(divide="ignore"):
        return Affine(values if op_type == "Mul" else one / values, zero)
