"""What each operator does to images along axis 0: keep them apart, under a condition, or not.

A rule returns None where output image i depends on image i of the inputs alone, else the reason
why it may not.  Operators without a rule are refused.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import prod

import onnx_ir as ir

from sparsepass.graph.values import constant_array

__all__ = ["MANY_OUTPUTS", "RANDOM", "RULES", "Call"]

Dims = tuple[int, ...]

MIXES = "mixes the images of a batch"
UNKNOWN = "what it does along the batch is computed at run time"
OWN_CONSTANT = "a constant differs from image to image"
NAMES_BATCH = "names the size of the batch"


@dataclass(frozen=True)
class Call:
    """A node, the sizes of its values, the values that are batched, and the standard opset.

    ``size`` is the batch, None where it is open.  Rules add the values that name the size of the
    batch, and that 0 (as in the input) can stand for, to ``literals``.
    """

    node: ir.Node
    shapes: Mapping[str, Dims]
    batched: Collection[ir.Value | None]
    opset: int
    size: int | None
    literals: list[ir.Value] = field(default_factory=list[ir.Value])

    def input(self, index: int) -> ir.Value | None:
        """An input, None where it is absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def shape(self, index: int) -> Dims:
        """The sizes of an input; it has to be there."""
        value = self.input(index)
        return self.shapes[value.name or ""] if value is not None else ()

    def output_shape(self) -> Dims:
        """The sizes of the first output."""
        return self.shapes[self.node.outputs[0].name or ""]

    def ints(self, name: str, index: int) -> list[int] | None:
        """Constant integers: the attribute ``name``, or the input ``index``; None elsewhere."""
        entries = self.node.attributes.get_ints(name)
        if entries is not None:
            return list(entries)
        array = constant_array(self.input(index))
        return None if array is None else [int(entry) for entry in array.reshape(-1)]

    def others_constant(self) -> bool:
        """Whether no input but the first is batched."""
        return not any(value in self.batched for value in self.node.inputs[1:])


Rule = Callable[[Call], str | None]


def per_image(call: Call) -> str | None:
    """One batched input; parameters are the same for all images."""
    return None if call.others_constant() else "a parameter differs from image to image"


def elementwise(call: Call) -> str | None:
    """Operands are aligned at their last axes: axis 0 has to meet axis 0, or one entry for all."""
    rank = len(call.output_shape())
    for index, value in enumerate(call.node.inputs):
        if value is None:
            continue
        shape = call.shape(index)
        if value in call.batched:
            if len(shape) != rank:
                return MIXES
        elif len(shape) >= rank and shape[0] != 1:
            return OWN_CONSTANT
    return None


def training(call: Call) -> str | None:
    """BatchNormalization and Dropout, which in training look at the batch or at random numbers."""
    flag = constant_array(call.input(2)) if call.node.op_type == "Dropout" else None
    if call.node.attributes.get_int("training_mode", 0) or (flag is not None and flag.any()):
        return "training mode"
    return per_image(call)


def along_axis(default: int) -> Rule:
    """An operator along one axis, which must not be the batch."""

    def rule(call: Call) -> str | None:
        axis = call.node.attributes.get_int("axis", default)
        return MIXES if axis % max(len(call.shape(0)), 1) == 0 else per_image(call)

    return rule


def softmax(call: Call) -> str | None:
    """The axis is the last by default, and was 1 before opset 13."""
    return along_axis(-1 if call.opset >= 13 else 1)(call)


def quantize(call: Call) -> str | None:
    """Scales are the same for all images, unless they lie along axis 0."""
    count = prod(call.shape(1))
    return per_image(call) if count == 1 else along_axis(1)(call)


def flatten(call: Call) -> str | None:
    """Into (N, everything else)."""
    axis = call.node.attributes.get_int("axis", 1)
    return None if axis % len(call.shape(0)) == 1 else MIXES


def concat(call: Call) -> str | None:
    """All operands have the batch, and are joined along another axis."""
    if not all(value in call.batched for value in call.node.inputs):
        return OWN_CONSTANT
    axis = call.node.attributes.get_int("axis", 1)
    return MIXES if axis % len(call.shape(0)) == 0 else None


def over_axes(position: int) -> Rule:
    """An operator over a list of axes: an attribute, or the input at ``position``."""

    def rule(call: Call) -> str | None:
        axes = call.ints("axes", position)
        if not axes:
            return MIXES if call.input(position) is None else UNKNOWN
        rank = max(len(call.shape(0)), len(call.output_shape()))
        return MIXES if any(axis % rank == 0 for axis in axes) else per_image(call)

    return rule


def transpose(call: Call) -> str | None:
    """Axis 0 stays where it is."""
    order = call.ints("perm", len(call.node.inputs))
    return None if order and order[0] == 0 else MIXES


def pad(call: Call) -> str | None:
    """Nothing is added to axis 0."""
    pads, axes = call.ints("pads", 1), constant_array(call.input(3))
    if pads is None or (call.input(3) is not None and axes is None):
        return UNKNOWN
    positions = range(len(call.shape(0))) if axes is None else [int(axis) for axis in axes]
    half = len(pads) // 2
    for index, axis in enumerate(positions):
        if axis % len(call.shape(0)) == 0 and (pads[index] or pads[half + index]):
            return MIXES
    return per_image(call)


def resize(call: Call) -> str | None:
    """Axis 0 keeps its size, said by a scale: a size would name the batch."""
    get, rank = call.node.attributes, len(call.shape(0))
    if get.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return "it crops each image"
    axes = get.get_ints("axes") or range(rank)
    scales = constant_array(call.input(2 if call.opset >= 11 else 1))
    if scales is not None and scales.size:
        moved = any(s != 1 and a % rank == 0 for a, s in zip(axes, scales, strict=True))
        return MIXES if moved else per_image(call)
    if call.input(3) is None:
        return UNKNOWN
    return NAMES_BATCH if any(axis % rank == 0 for axis in axes) else per_image(call)


def reshape(call: Call) -> str | None:
    """Axis 0 stays, whether the target says 0, -1 or its size, and the rest goes into the rest."""
    target, source = call.ints("shape", 1), call.shape(0)
    if not target:
        return UNKNOWN
    named, output = target[0] > 0, call.output_shape()
    if named and (call.size is None or call.node.attributes.get_int("allowzero", 0)):
        return NAMES_BATCH
    if prod(output[1:]) != prod(source[1:]) or output[0] != source[0]:
        return MIXES
    if named:
        call.literals.append(call.node.outputs[0])
    return None


def product(call: Call) -> str | None:
    """MatMul: rows of axis 0 by one matrix, or matrices of axis 0 by matrices of axis 0."""
    left, right = call.node.inputs[:2]
    if right not in call.batched and len(call.shape(0)) == len(call.shape(1)) == 2:
        return None
    ranks = len(call.shape(0)), len(call.shape(1))
    if left in call.batched and right not in call.batched and ranks[1] < ranks[0]:
        return None
    return MIXES if min(ranks) < 3 else elementwise(call)


def gemm(call: Call) -> str | None:
    """Rows of axis 0 by one matrix, plus a bias that is the same for all."""
    if call.node.attributes.get_int("transA", 0) or call.node.inputs[0] not in call.batched:
        return MIXES
    if call.node.inputs[1] in call.batched:
        return MIXES
    bias, shape = call.input(2), call.shape(2)
    if bias in call.batched:
        return None if len(shape) == 2 else MIXES
    return OWN_CONSTANT if len(shape) == 2 and shape[0] != 1 else None


PER_IMAGE = (
    "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace", "GlobalAveragePool",
    "GlobalLpPool", "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN",
    "LpPool", "MaxPool", "QLinearConv", "SpaceToDepth",
)  # fmt: skip
ELEMENTWISE = (
    "Abs", "Add", "And", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal", "Erf",
    "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
    "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul",
    "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
    "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu",
    "Where", "Xor",
)  # fmt: skip
REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
RANDOM = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip
# Operators whose outputs all have the images on axis 0; of others one output may be read.
MANY_OUTPUTS = ("Split", "TopK")

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(PER_IMAGE, per_image),
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCTIONS, over_axes(1)),
    "ArgMax": along_axis(0),
    "ArgMin": along_axis(0),
    "BatchNormalization": training,
    "Concat": concat,
    "DequantizeLinear": quantize,
    "Dropout": training,
    "Flatten": flatten,
    "Gather": along_axis(0),
    "Gemm": gemm,
    "LayerNormalization": along_axis(-1),
    "LogSoftmax": softmax,
    "LpNormalization": along_axis(-1),
    "MatMul": product,
    "Pad": pad,
    "QuantizeLinear": quantize,
    "Reshape": reshape,
    "Resize": resize,
    "Slice": over_axes(3),
    "Softmax": softmax,
    "Split": along_axis(0),
    "Squeeze": over_axes(1),
    "TopK": along_axis(-1),
    "Transpose": transpose,
    "Unsqueeze": over_axes(1),
    "Upsample": resize,
}
