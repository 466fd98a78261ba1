"""The custom ops of the domain ``ai.sparsepass``: names, signatures and function bodies.

Every op is an ONNX function, so that a runtime without the native library runs its body, made of
standard ops; with the library registered, the kernel runs instead.  Function bodies cannot branch
on attributes, so each fused epilogue has an op name of its own: a stem such as ``SparseConv``,
then ``Add`` where a residual is added, then the activation function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import onnx
import onnx.parser

from sparsepass.layer import ACTIVATIONS, Activation, Epilogue
from sparsepass.runtime.activations import activation_attributes, activation_lines
from sparsepass.runtime.weight_forms import DENSE, SPARSE, WeightForm

__all__ = [
    "DOMAIN", "EPILOGUES", "KEEP_LARGEST", "LRN", "MAX_POOL", "MOST_KEPT", "OPS", "PAIR", "SECOND",
    "STEMS", "VERSION", "MapOp", "PairOp", "Stem", "op_names",
]  # fmt: skip

DOMAIN = "ai.sparsepass"
VERSION = 1

EPILOGUES = tuple(Epilogue(residual, a) for residual in (False, True) for a in ACTIVATIONS)

CONV_ATTRIBUTES = ("strides", "pads", "dilations", "group")

# What belongs to the second convolution of a pair is named as that of the first, and ends in this.
SECOND = "2"

Body = Callable[[int], onnx.FunctionProto]
"""Makes the function of an op, with a body in the default domain's opset: that of the model."""


@dataclass(frozen=True)
class Stem:
    """A convolution as an op for each epilogue, with its weight in a form."""

    name: str
    weight: WeightForm

    @property
    def oldest_opset(self) -> int:
        """The first opset in which its function bodies can be written."""
        return self.weight.oldest_opset

    def ops(self) -> Mapping[str, Body]:
        """Its ops by name."""
        return {self.name + e.suffix: partial(self.function, e) for e in EPILOGUES}

    def attributes(self, activation: Activation, opset: int) -> tuple[str, ...]:
        """The attributes of an op, in order."""
        own = (*self.weight.attributes(opset), *CONV_ATTRIBUTES)
        return (*own, *activation_attributes(activation, opset))

    def function(self, epilogue: Epilogue, opset: int) -> onnx.FunctionProto:
        """The function of the op with an epilogue."""
        lines = (
            *self.weight.lines(opset, ""),
            convolution(),
            "Z = Add (S, R)" if epilogue.residual else "Z = Identity (S)",
            *activation_lines(epilogue.activation, opset),
        )
        return parsed(
            self.name + epilogue.suffix,
            self.attributes(epilogue.activation, opset),
            ("X", *self.weight.inputs, "B", *(("R",) if epilogue.residual else ())),
            lines,
            opset,
        )


@dataclass(frozen=True)
class PairOp:
    """Two convolutions of one input, and the concatenation of their outputs along the channels.

    Both are of the same ``stem`` and have the same activation function, which ends the name.
    """

    name: str
    stem: Stem
    oldest_opset: int

    def ops(self) -> Mapping[str, Body]:
        """Its ops by name."""
        return {self.name + a: partial(self.function, a) for a in ACTIVATIONS}

    def attributes(self, activation: Activation, opset: int) -> tuple[str, ...]:
        """The attributes of both convolutions, and of the activation function that they share."""
        own = (*self.stem.weight.attributes(opset), *CONV_ATTRIBUTES)
        shared = activation_attributes(activation, opset)
        return (*own, *(name + SECOND for name in own), *shared)

    def function(self, activation: Activation, opset: int) -> onnx.FunctionProto:
        """The function of the op with an activation function."""
        branches = (
            line
            for tag in ("", SECOND)
            for line in (
                *self.stem.weight.lines(opset, tag),
                convolution(tag),
                f"Z{tag} = Identity (S{tag})",
                *activation_lines(activation, opset, tag, f"A{tag}"),
            )
        )
        lines = (*branches, f"Y = Concat <axis = 1> (A, A{SECOND})")
        payload = (*self.stem.weight.inputs, "B")
        inputs = ("X", *payload, *(name + SECOND for name in payload))
        attributes = self.attributes(activation, opset)
        return parsed(self.name + activation, attributes, inputs, lines, opset)


@dataclass(frozen=True)
class MapOp:
    """An op between feature maps in NCHW; its ``attributes`` have types and no defaults."""

    name: str
    attributes: Mapping[str, str]
    lines: tuple[str, ...]
    oldest_opset: int = 1

    def ops(self) -> Mapping[str, Body]:
        """Its one op."""
        return {self.name: self.function}

    def function(self, opset: int) -> onnx.FunctionProto:
        """The function of the op."""
        return parsed(self.name, tuple(self.attributes), ("X",), self.lines, opset)


def in_layout(name: str, standard: str, attributes: Mapping[str, str]) -> MapOp:
    """ONNX's ``standard`` op, some attributes of it, where ONNX Runtime would change the layout."""
    passed = ", ".join(f"{n}: {kind} = @{n}" for n, kind in attributes.items())
    return MapOp(name, attributes, (f"Y = {standard} <{passed}> (X)",))


SPARSE_CONV = Stem("SparseConv", SPARSE)
LRN = in_layout(
    "LocalResponseNorm", "LRN", {"size": "int", "alpha": "float", "beta": "float", "bias": "float"}
)
MAX_POOL = in_layout(
    "MaxPool2d", "MaxPool", {"kernel_shape": "ints", "strides": "ints", "pads": "ints"}
)
# Of each ``block`` channels of a pixel the ``kept`` of largest magnitude stay, others become zero;
# all that are equal to the least of these stay.  Constant takes integers from opset 12 on.
KEEP_LARGEST = MapOp(
    "KeepLargest",
    {"kept": "int", "block": "int"},
    (
        "first = Constant <value_ints = [0]> ()",
        "second = Constant <value_ints = [1]> ()",
        "third = Constant <value_ints = [2]> ()",
        "last = Constant <value_ints = [-1]> ()",
        "end = Constant <value_ints = [9223372036854775807]> ()",
        "zero = Constant <value_float = 0.0> ()",
        "number = Constant <value_int: int = @kept> ()",
        "N = Reshape (number, second)",
        "size = Constant <value_int: int = @block> ()",
        "M = Reshape (size, second)",
        "shape = Shape (X)",
        "batch = Slice (shape, first, second)",
        "channels = Slice (shape, second, third)",
        "plane = Slice (shape, third, end)",
        "blocks = Div (channels, M)",
        "blocked = Concat <axis = 0> (batch, blocks, M, plane)",
        "V = Reshape (X, blocked)",
        "A = Abs (V)",
        "largest, places = TopK <axis = 2> (A, N)",
        "least = Slice (largest, last, end, third)",
        "smaller = Less (A, least)",
        "Z = Where (smaller, zero, V)",
        "Y = Reshape (Z, shape)",
    ),
    oldest_opset=12,
)
# What the kernel keeps of a block at most (runtime/native/kernels/largest_kernel.h).
MOST_KEPT = 8
PAIR = PairOp("SparseConvPair", SPARSE_CONV, oldest_opset=12)

# A row for every op; runtime/native/ort/ops.inc has the same ones, and a test holds both together.
OPS: tuple[Stem | MapOp | PairOp, ...] = (
    SPARSE_CONV,
    Stem("DepthwiseConv", DENSE),
    Stem("Im2colConv", DENSE),
    Stem("MecConv", DENSE),
    Stem("Winograd2Conv", DENSE),
    Stem("Winograd4Conv", DENSE),
    Stem("CpoConv", DENSE),
    Stem("CpsConv", DENSE),
    LRN,
    MAX_POOL,
    KEEP_LARGEST,
    PAIR,
)
STEMS = tuple(op for op in OPS if isinstance(op, Stem))


def op_names() -> tuple[str, ...]:
    """Every op there is, in the order in which the library registers them."""
    return tuple(name for row in OPS for name in row.ops())


def parsed(
    name: str,
    attributes: tuple[str, ...],
    inputs: tuple[str, ...],
    lines: tuple[str, ...],
    opset: int,
) -> onnx.FunctionProto:
    body = "\n".join(without_identities(lines))
    return onnx.parser.parse_function(
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{name} <{', '.join(attributes)}> ({', '.join(inputs)}) => (Y)\n"
        f"{{\n{body}\n}}"
    )


def convolution(tag: str = "") -> str:
    """The line from the dense weight ``W`` to the sum ``S``; ``tag`` ends all names."""
    attributes = ", ".join(
        f"{name}: {'int' if name == 'group' else 'ints'} = @{name}{tag}" for name in CONV_ATTRIBUTES
    )
    return f"S{tag} = Conv <{attributes}> (X, W{tag}, B{tag})"


def without_identities(lines: tuple[str, ...]) -> list[str]:
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
