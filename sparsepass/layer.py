"""One convolution of a network, as every other module sees it: shape, weight and epilogue.

A ``Gemm`` or ``MatMul`` with a constant weight is the same thing with an empty ``kernel``.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATIONS", "Activation", "Array", "Epilogue", "Layer"]

Array = NDArray[np.float32]
Activation = Literal["", "Relu", "Clip", "LeakyRelu", "HardSwish", "Silu"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


@dataclass(frozen=True)
class Epilogue:
    """What follows a convolution and can be done while its output is in registers.

    The order is bias, residual Add, activation function.  ``low`` and ``high`` belong to Clip,
    ``alpha`` to LeakyRelu; Silu is x * sigmoid(x).
    """

    residual: bool = False
    activation: Activation = ""
    low: float = -math.inf
    high: float = math.inf
    alpha: float = 0.01

    @property
    def suffix(self) -> str:
        """The end of the op name that carries this epilogue, such as ``AddRelu``."""
        return ("Add" if self.residual else "") + self.activation


@dataclass(frozen=True)
class Layer:
    """One convolution with a constant weight.

    ``weight`` is (filters, channels / groups, *kernel) and ``bias`` (filters,), always present.
    Spatial tuples have one entry per spatial axis; ``pads`` has begins, then ends, as in ONNX.
    ``batch`` and ``input_spatial`` are the sizes the plan is made for.
    """

    name: str
    op_type: Literal["Conv", "Gemm", "MatMul"]
    batch: int
    groups: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    input_spatial: tuple[int, ...]
    weight: Array = field(repr=False, compare=False)
    bias: Array = field(repr=False, compare=False)
    epilogue: Epilogue = Epilogue()

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @property
    def channels(self) -> int:
        """Input channels, of all groups."""
        return self.weight.shape[1] * self.groups

    @property
    def taps(self) -> int:
        """Weights per filter: channels per group times kernel elements."""
        return math.prod(self.weight.shape[1:])

    @property
    def output_spatial(self) -> tuple[int, ...]:
        """Sizes of the output's spatial axes."""
        rank = len(self.kernel)
        return tuple(
            (size + self.pads[i] + self.pads[rank + i] - d * (k - 1) - 1) // s + 1
            for i, (size, k, s, d) in enumerate(
                zip(self.input_spatial, self.kernel, self.strides, self.dilations, strict=True)
            )
        )

    @property
    def pixels(self) -> int:
        """Output positions of one image."""
        return math.prod(self.output_spatial)

    @property
    def macs(self) -> int:
        """Dense multiply-adds of the whole batch."""
        return self.batch * self.pixels * self.filters * self.taps

    @property
    def input_size(self) -> int:
        """Elements of the input of the whole batch."""
        return self.batch * self.channels * math.prod(self.input_spatial)

    @property
    def output_size(self) -> int:
        """Elements of the output of the whole batch."""
        return self.batch * self.filters * self.pixels

    @property
    def is_depthwise(self) -> bool:
        """Whether every filter reads one channel."""
        return self.groups > 1 and self.weight.shape[1] == 1

    @property
    def is_pointwise(self) -> bool:
        """Whether the kernel is one tap; true of a product."""
        return all(k == 1 for k in self.kernel)

    @property
    def shape_text(self) -> str:
        """For people: ``64x56x56 -> 128, 3x3/2, groups 2``."""
        size = "x".join(str(v) for v in (self.channels, *self.input_spatial))
        parts = [f"{size} -> {self.filters}"]
        if self.kernel:
            stride = (
                self.strides[0] if len(set(self.strides)) == 1 else "x".join(map(str, self.strides))
            )
            parts.append("x".join(map(str, self.kernel)) + (f"/{stride}" if stride != 1 else ""))
        if any(d != 1 for d in self.dilations):
            parts.append("dilation " + "x".join(map(str, self.dilations)))
        if self.groups > 1:
            parts.append("depthwise" if self.is_depthwise else f"groups {self.groups}")
        return ", ".join(parts)
