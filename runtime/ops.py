"""The custom ops of the domain ``ai.sparsepass``: names, signatures and function bodies.

Every op is an ONNX function, so that a runtime without the native library runs its body, made of
standard ops; with the library registered, the kernel runs instead.  Function bodies cannot branch
on attributes, so each fused epilogue has an op name of its own: a stem such as ``SparseConv``,
then ``Add`` where a residual is added, then the activation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
import onnx.parser

from sparsepass.layer import Activation, Epilogue

__all__ = [
    "ACTIVATIONS", "DOMAIN", "LRN", "MAP_OPS", "MAX_POOL", "OLDEST_PAIR_OPSET",
    "OLDEST_SPARSE_OPSET", "PAIR", "SECOND", "STEMS", "VERSION", "MapOp", "Stem",
    "activation_attributes", "all_ops", "function", "map_function", "op_names", "pair_attributes",
    "pair_function", "shape_attributes",
]  # fmt: skip

DOMAIN = "ai.sparsepass"
VERSION = 1

ACTIVATIONS: tuple[Activation, ...] = ("", "Relu", "Clip", "LeakyRelu", "HardSwish", "Silu")


@dataclass(frozen=True)
class Stem:
    """A convolution algorithm as an op: its inputs between ``X`` and ``B``.

    A ``sparse`` stem takes its weight as values and flat indices, another as a dense ``W``.
    """

    name: str
    sparse: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the constant inputs that carry the weight."""
        return ("values", "indices") if self.sparse else ("W",)


STEMS: tuple[Stem, ...] = (
    Stem("SparseConv", sparse=True),
    Stem("DepthwiseConv", sparse=False),
    Stem("Im2colConv", sparse=False),
    Stem("MecConv", sparse=False),
    Stem("Winograd2Conv", sparse=False),
    Stem("Winograd4Conv", sparse=False),
    Stem("CpoConv", sparse=False),
    Stem("CpsConv", sparse=False),
)


@dataclass(frozen=True)
class MapOp:
    """An op from one map to another that keeps NCHW, where ONNX Runtime would change the layout.

    It takes some attributes of ONNX's ``standard`` op, which is its body; none has a default.
    """

    name: str
    standard: str
    attributes: Mapping[str, str]


LRN = MapOp(
    "LocalResponseNorm", "LRN", {"size": "int", "alpha": "float", "beta": "float", "bias": "float"}
)
MAX_POOL = MapOp(
    "MaxPool2d", "MaxPool", {"kernel_shape": "ints", "strides": "ints", "pads": "ints"}
)
MAP_OPS = (LRN, MAX_POOL)

# Two sparse convolutions of one input, and the concatenation of their outputs along the channels.
# What belongs to the second one is named as that of the first, and ends in ``SECOND``.
PAIR = "SparseConvPair"
SECOND = "2"
OLDEST_PAIR_OPSET = 12

# The oldest opset in which a function body can rebuild a dense weight (ConstantOfShape).
OLDEST_SPARSE_OPSET = 9

CONV_ATTRIBUTES = ("strides", "pads", "dilations", "group")


def all_ops() -> Iterator[tuple[Stem, Epilogue]]:
    """Every convolution: stems times epilogues, in the order in which the library has them."""
    for stem in STEMS:
        for residual in (False, True):
            for activation in ACTIVATIONS:
                yield stem, Epilogue(residual, activation)


def op_names() -> tuple[str, ...]:
    """Every op there is, in the order in which the library registers them."""
    convolutions = (stem.name + epilogue.suffix for stem, epilogue in all_ops())
    pairs = (PAIR + activation for activation in ACTIVATIONS)
    return (*convolutions, *(op.name for op in MAP_OPS), *pairs)


def map_function(op: MapOp, opset: int) -> onnx.FunctionProto:
    """The function of an op between maps, with a body in ``opset``."""
    attributes = ", ".join(f"{name}: {kind} = @{name}" for name, kind in op.attributes.items())
    return onnx.parser.parse_function(
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{op.name} <{', '.join(op.attributes)}> (X) => (Y)\n"
        f"{{\nY = {op.standard} <{attributes}> (X)\n}}"
    )


def function(stem: Stem, epilogue: Epilogue, opset: int) -> onnx.FunctionProto:
    """The function of an op, with a body in the default domain's ``opset``.

    ``opset`` is that of the model: ONNX wants both to agree.
    """
    inputs = ("X", *stem.inputs, "B", *(("R",) if epilogue.residual else ()))
    attributes = (
        *(shape_attributes(opset) if stem.sparse else ()),
        *CONV_ATTRIBUTES,
        *activation_attributes(epilogue.activation, opset),
    )
    lines = (
        *(_dense_weight(opset) if stem.sparse else ()),
        _convolution(),
        "Z = Add (S, R)" if epilogue.residual else "Z = Identity (S)",
        *_activation(epilogue.activation, opset),
    )
    return _parsed(stem.name + epilogue.suffix, attributes, inputs, lines, opset)


def pair_function(activation: Activation, opset: int) -> onnx.FunctionProto:
    """The function of two sparse convolutions and a Concat, with a body in ``opset``."""
    branches = (
        line
        for tag in ("", SECOND)
        for line in (
            *_dense_weight(opset, tag),
            _convolution(tag),
            f"Z{tag} = Identity (S{tag})",
            *_activation(activation, opset, tag, f"A{tag}"),
        )
    )
    lines = (*branches, f"Y = Concat <axis = 1> (A, A{SECOND})")
    payload = ("values", "indices", "B")
    inputs = ("X", *payload, *(name + SECOND for name in payload))
    return _parsed(PAIR + activation, pair_attributes(activation, opset), inputs, lines, opset)


def pair_attributes(activation: Activation, opset: int) -> tuple[str, ...]:
    """The attributes of both convolutions of a pair, and of the activation that they share."""
    own = (*shape_attributes(opset), *CONV_ATTRIBUTES)
    return (*own, *(name + SECOND for name in own), *activation_attributes(activation, opset))


def shape_attributes(opset: int) -> tuple[str, ...]:
    """The attributes that carry the shape of a sparse weight.

    ``w_shape`` is a list of integers because shape inference of a custom op cannot read constants.
    Constant takes such a list from opset 12 on; before, ``w_dims`` holds it once more as a tensor.
    """
    return ("w_shape",) if opset >= 12 else ("w_shape", "w_dims")


def activation_attributes(activation: Activation, opset: int) -> tuple[str, ...]:
    """The attributes that carry an activation's parameters.

    The bounds of Clip are floats, and in opset 11, whose Clip takes them as inputs and whose
    Constant takes no float, ``min_value`` and ``max_value`` hold them once more as tensors.
    """
    match activation:
        case "Clip":
            return ("min", "max", "min_value", "max_value") if opset == 11 else ("min", "max")
        case "LeakyRelu":
            return ("alpha",)
        case _:
            return ()


def _parsed(
    name: str,
    attributes: tuple[str, ...],
    inputs: tuple[str, ...],
    lines: tuple[str, ...],
    opset: int,
) -> onnx.FunctionProto:
    body = "\n".join(_without_identities(lines))
    return onnx.parser.parse_function(
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{name} <{', '.join(attributes)}> ({', '.join(inputs)}) => (Y)\n"
        f"{{\n{body}\n}}"
    )


def _dense_weight(opset: int, tag: str = "") -> tuple[str, ...]:
    """Lines that rebuild the dense weight; a runtime folds them when it loads the model.

    ``tag`` ends all names, here and below.
    """
    constant = (
        f"value_ints: ints = @w_shape{tag}" if opset >= 12 else f"value: tensor = @w_dims{tag}"
    )
    scatter = "ScatterElements" if opset >= 11 else "Scatter"
    return (
        f"shape{tag} = Constant <{constant}> ()",
        f"size{tag} = ReduceProd <keepdims = 1> (shape{tag})",
        f"zeros{tag} = ConstantOfShape (size{tag})",
        f"flat{tag} = {scatter} (zeros{tag}, indices{tag}, values{tag})",
        f"W{tag} = Reshape (flat{tag}, shape{tag})",
    )


def _convolution(tag: str = "") -> str:
    attributes = ", ".join(
        f"{name}: {'int' if name == 'group' else 'ints'} = @{name}{tag}" for name in CONV_ATTRIBUTES
    )
    return f"S{tag} = Conv <{attributes}> (X, W{tag}, B{tag})"


def _activation(
    activation: Activation, opset: int, tag: str = "", target: str = "Y"
) -> tuple[str, ...]:
    """Lines from ``Z``, the sum before the activation, to ``target``."""
    match activation:
        case "":
            return (f"{target} = Identity (Z{tag})",)
        case "Relu":
            return (f"{target} = Relu (Z{tag})",)
        case "HardSwish":
            # HardSwish itself came with opset 14.
            hard = f"HardSigmoid <alpha = {1 / 6}, beta = 0.5>"
            return (f"H{tag} = {hard} (Z{tag})", f"{target} = Mul (Z{tag}, H{tag})")
        case "Silu":
            return (f"H{tag} = Sigmoid (Z{tag})", f"{target} = Mul (Z{tag}, H{tag})")
        case "LeakyRelu":
            return (f"{target} = LeakyRelu <alpha: float = @alpha> (Z{tag})",)
        case "Clip" if opset < 11:
            return (f"{target} = Clip <min: float = @min, max: float = @max> (Z{tag})",)
        case "Clip":
            low, high = (
                ("value_float: float = @min", "value_float: float = @max")
                if opset >= 12
                else ("value: tensor = @min_value", "value: tensor = @max_value")
            )
            return (
                f"low{tag} = Constant <{low}> ()",
                f"high{tag} = Constant <{high}> ()",
                f"{target} = Clip (Z{tag}, low{tag}, high{tag})",
            )


def _without_identities(lines: tuple[str, ...]) -> list[str]:
    """Drop ``A = Identity (B)`` lines: the value before them takes the name ``A``."""
    kept: list[str] = []
    for line in lines:
        target, _, source = line.partition(" = Identity ")
        if source and kept:
            name = source.strip("()")
            kept[-1] = kept[-1].replace(f"{name} = ", f"{target} = ", 1)
        else:
            kept.append(line)
    return kept
