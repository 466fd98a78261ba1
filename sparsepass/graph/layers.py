"""Find the layers of a graph: every Conv, Gemm and MatMul with a constant float weight."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from sparsepass.graph.fusions import fusions
from sparsepass.graph.values import constant_array, is_standard
from sparsepass.layer import Array, Layer
from sparsepass.shapes import Inferred, infer

__all__ = ["UNKNOWN_SHAPE", "Layers", "Skipped", "layers"]

Dims = tuple[int, ...]
UNKNOWN_SHAPE = "the shape of its input is not known"
PRODUCTS = ("Conv", "Gemm", "MatMul")
# Convolutions and products that are reported although no algorithm of ours takes them.
OTHERS = {
    "ConvTranspose": "transposed convolution",
    "DeformConv": "deformable convolution",
    "ConvInteger": "quantized",
    "QLinearConv": "quantized",
    "MatMulInteger": "quantized",
    "QLinearMatMul": "quantized",
}
# What ONNX Runtime leaves in the files that it saves of optimized models, by operator.
FUSED = ("Conv", "FusedConv", "FusedGemm", "FusedMatMul", "NhwcFusedConv", "TransposeMatMul")
FUSED_DOMAINS = ("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
BY_ONNX_RUNTIME = "fused by ONNX Runtime, which saved this file: optimize the original"


@dataclass(frozen=True)
class Skipped:
    """A convolution or product that stays as it is, and the reason, a short phrase."""

    node: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class Layers:
    """The layers of a graph in topological order, and what was skipped."""

    layers: tuple[Layer, ...]
    skipped: tuple[Skipped, ...]

    @property
    def absence(self) -> str | None:
        """Why there is no layer, or None where there is one."""
        if self.layers:
            return None
        if not self.skipped:
            return "it has no convolution or product"
        reasons = Counter(node.reason for node in self.skipped)
        listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
        return f"its convolutions and products stay as they are: {listed}"


def layers(model: ir.Model, known: Inferred | None = None) -> Layers:
    """Return the layers of the main graph of ``model``, which must be sorted and named.

    ``known`` is what ``shapes.infer`` finds in it, also for other sizes of open inputs than its
    own.  Weights come as (filters, channels / groups, *kernel), scaled by the alpha of a Gemm,
    biases scaled by its beta.
    """
    known = known or infer(model)
    found: list[Layer] = []
    skipped: list[Skipped] = []
    for node in model.graph.all_nodes():
        if node.domain in FUSED_DOMAINS and node.op_type in FUSED:
            skipped.append(Skipped(node.name or "", node.op_type, BY_ONNX_RUNTIME))
        if not is_standard(node, *PRODUCTS, *OTHERS):
            continue
        result = read_layer(node, model.graph, known)
        if isinstance(result, Layer):
            found.append(result)
        else:
            skipped.append(Skipped(node.name or "", node.op_type, result))
    after = fusions(model, {layer.name for layer in found}, known.shapes)
    whole = tuple(replace(layer, epilogue=after[layer.name].epilogue) for layer in found)
    return Layers(whole, tuple(skipped))


def read_layer(node: ir.Node, graph: ir.Graph, known: Inferred) -> Layer | str:
    """Return the layer that ``node`` computes, or why it is none."""
    if node.op_type in OTHERS:
        return OTHERS[node.op_type]
    if node.graph is not graph:
        return "inside the body of a control-flow node"
    source, weight_value = node.inputs[:2]
    if source is None or weight_value is None:
        return "an input is absent"
    if is_quantized(weight_value):
        return "quantized weights"
    if constant_array(weight_value) is None and constant_array(source) is not None:
        return "its constant is the left operand"
    weight = float_constant(weight_value)
    if isinstance(weight, str):
        return f"weight {weight}"
    shape = known.sizes.get(source.name or "")
    if shape is None:
        return UNKNOWN_SHAPE
    if 0 in shape or 0 in weight.shape:
        return "empty tensor"
    if node.op_type == "Conv":
        return read_conv(node, weight, shape, known.shapes.get(source.name or ""))
    return read_product(node, weight, shape)


def is_quantized(value: ir.Value) -> bool:
    """Tell whether ``value`` is a constant that is stored in fewer bits."""
    producer = value.producer()
    return (
        producer is not None
        and is_standard(producer, "DequantizeLinear")
        and constant_array(producer.inputs[0]) is not None
    )


def float_constant(value: ir.Value) -> Array | str:
    """Return a float32 constant, or what is wrong with it."""
    array = constant_array(value)
    if array is None:
        return "is not constant"
    if array.dtype != np.float32:
        return f"is {array.dtype}, not float32"
    if not np.isfinite(array).all():
        return "has NaN or infinity"
    return array


def read_conv(
    node: ir.Node, weight: Array, shape: Dims, shape_in_model: ir.Shape | None
) -> Layer | str:
    rank = weight.ndim - 2
    groups = node.attributes.get_int("group", 1)
    if rank < 1 or len(shape) != weight.ndim or shape[1] != groups * weight.shape[1]:
        return "its weight does not fit its input"
    bias = read_bias(node, weight.shape[0])
    if isinstance(bias, str):
        return bias
    kernel, size = weight.shape[2:], shape[2:]
    strides = tuple(node.attributes.get_ints("strides", (1,) * rank))
    dilations = tuple(node.attributes.get_ints("dilations", (1,) * rank))
    if not len(strides) == len(dilations) == rank or min(*strides, *dilations) < 1:
        return "its strides or dilations do not fit its weight"
    pads = resolve_pads(node, size, kernel, strides, dilations)
    if len(pads) != 2 * rank or weight.shape[0] % groups:
        return "its pads or group do not fit its weight"
    if any(pad < 0 for pad in pads):
        return "negative padding"
    moving = auto_pad(node).startswith("SAME") and any(stride > 1 for stride in strides)
    if moving and (
        shape_in_model is None or not all(isinstance(d, int) for d in shape_in_model[2:])
    ):
        return f"auto_pad {auto_pad(node)} with an open image size"
    layer = Layer(
        name=node.name or "",
        op_type="Conv",
        batch=shape[0],
        groups=groups,
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads,
        input_spatial=size,
        weight=weight,
        bias=bias,
    )
    if min(layer.output_spatial) < 1:
        return "its kernel is larger than its input"
    return layer


def auto_pad(node: ir.Node) -> str:
    return node.attributes.get_string("auto_pad", "NOTSET")


def resolve_pads(node: ir.Node, size: Dims, kernel: Dims, strides: Dims, dilations: Dims) -> Dims:
    """Return explicit pads, begins then ends, for a Conv of any ``auto_pad``."""
    mode = auto_pad(node)
    if mode == "NOTSET":
        return tuple(node.attributes.get_ints("pads", (0,) * 2 * len(kernel)))
    if mode == "VALID":
        return (0,) * 2 * len(kernel)
    totals = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
    ]
    halves, rests = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (*halves, *rests) if mode == "SAME_UPPER" else (*rests, *halves)


def read_bias(node: ir.Node, filters: int) -> Array | str:
    """Return the bias of a Conv or Gemm as (filters,), zeros where there is none, or a reason."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return np.zeros(filters, np.float32)
    bias = float_constant(value)
    if isinstance(bias, str):
        return f"bias {bias}"
    if bias.size not in (1, filters) or (bias.size > 1 and bias.shape[-1] != filters):
        return "bias differs from row to row"
    return np.array(np.broadcast_to(bias.reshape(-1), filters))


def read_product(node: ir.Node, weight: Array, shape: Dims) -> Layer | str:
    if weight.ndim != 2:
        return f"weight has {weight.ndim} axes"
    get_int, get_float = node.attributes.get_int, node.attributes.get_float
    transposed, alpha, beta = get_int("transB", 0), get_float("alpha", 1.0), get_float("beta", 1.0)
    if get_int("transA", 0):
        return "transA"
    oriented = weight if transposed else weight.T
    if shape[-1] != oriented.shape[1]:
        return "its weight does not fit its input"
    bias = read_bias(node, oriented.shape[0])
    if isinstance(bias, str):
        return bias
    return Layer(
        name=node.name or "",
        op_type="Gemm" if node.op_type == "Gemm" else "MatMul",
        batch=int(np.prod(shape[:-1], dtype=np.int64)),
        groups=1,
        kernel=(),
        strides=(),
        dilations=(),
        pads=(),
        input_spatial=(),
        weight=np.ascontiguousarray(oriented * np.float32(alpha)),
        bias=bias * np.float32(beta),
    )
