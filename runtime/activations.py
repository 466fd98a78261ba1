"""Activation functions as our ops carry them: attributes, and lines of function bodies.

``layer.Activation`` is the list of them, runtime/native/ort/activations.cc the kernels' side.
"""

from collections.abc import Mapping

import numpy as np

from sparsepass.algorithms import Attribute
from sparsepass.layer import Activation, Epilogue

__all__ = ["activation_attributes", "activation_lines", "activation_values"]


def activation_attributes(activation: Activation, opset: int) -> tuple[str, ...]:
    """The attributes that carry an activation function's parameters.

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


def activation_values(epilogue: Epilogue) -> Mapping[str, Attribute]:
    """The values of all attributes that an activation function may have."""
    return {
        "alpha": epilogue.alpha,
        "min": epilogue.low,
        "max": epilogue.high,
        "min_value": np.array(epilogue.low, np.float32),
        "max_value": np.array(epilogue.high, np.float32),
    }


def activation_lines(
    activation: Activation, opset: int, tag: str = "", target: str = "Y"
) -> tuple[str, ...]:
    """Lines from ``Z``, the activation function's input, to ``target``; ``tag`` ends all names."""
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
