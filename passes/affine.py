"""A scale and a shift per channel after a convolution are another convolution.

conv(x, W) + b, times s, plus t, is conv(x, s * W) + (s * b + t).
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.graph import constant_array, is_read_once, is_standard
from sparsepass.layer import Array
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["Affine", "Match", "match_affine", "norm_as_affine", "rewrite_affine"]


@dataclass(frozen=True)
class Affine:
    """``scale * y + shift``, both of shape (filters,), in float64."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """A Conv, the node after it that goes away, and the folded parameters."""

    conv: ir.Node
    after: ir.Node
    weight: Array
    bias: Array


def norm_as_affine(norm: ir.Node) -> Affine | str:
    """Return what a BatchNormalization does to a channel, or why that is not known."""
    if norm.attributes.get_int("training_mode", 0) or not norm.attributes.get_int("spatial", 1):
        return "it is not in inference mode"
    if any(value.uses() or value.is_graph_output() for value in norm.outputs[1:]):
        return "its statistics are read"
    parameters = [constant_array(value) for value in norm.inputs[1:]]
    known = [array.astype(np.float64) for array in parameters if array is not None]
    if len(known) != 4 or len({array.shape for array in known}) != 1:
        return "a parameter is not constant or does not fit the others"
    gamma, beta, mean, variance = known
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    return Affine(scale, beta - scale * mean)


def match_affine(after: ir.Node, source: ir.Value | None, affine: Affine) -> Match | str:
    """Return how ``after``, which is ``affine`` of ``source``, folds into a Conv, or a reason."""
    conv = source.producer() if source is not None else None
    if (
        source is None
        or conv is None
        or not is_standard(conv, "Conv")
        or conv.graph is not after.graph
    ):
        return "its input does not come from a Conv"
    if not is_read_once(source):
        return "its Conv has another reader"
    weight = constant_array(conv.inputs[1])
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    bias = constant_array(conv.inputs[2]) if has_bias else np.zeros(1)
    if weight is None or bias is None:
        return "a parameter of its Conv is not constant"
    if weight.dtype != np.float32 or affine.scale.shape != weight.shape[:1]:
        return "its parameters do not fit the weight"
    per_filter = affine.scale.reshape(-1, *[1] * (weight.ndim - 1))
    folded = (weight * per_filter).astype(np.float32)
    shift = (affine.scale * bias + affine.shift).astype(np.float32)
    if not (np.isfinite(folded).all() and np.isfinite(shift).all()):
        return "folding it would overflow"
    return Match(conv, after, folded, shift)


def rewrite_affine(graph: ir.Graph, found: Match, names: Names) -> None:
    """Put the folded Conv in place of the pair; it keeps the Conv's name."""
    conv, after = found.conv, found.after
    stem = after.outputs[0].name
    weight = new_initializer(graph, f"{stem}.weight", found.weight, names)
    bias = new_initializer(graph, f"{stem}.bias", found.bias, names)
    folded = ir.node(
        "Conv",
        inputs=[conv.inputs[0], weight, bias],
        attributes=dict(conv.attributes),
        name=conv.name,
    )
    ir.convenience.replace_nodes_and_values(
        graph, after, [after, conv], [folded], after.outputs[:1], folded.outputs
    )
