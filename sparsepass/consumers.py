"""What may stand in an input, by the operators that read it: indices, sizes, axes, divisors.

Noise for such an input has to be drawn from these: with others the network does not run, or, where
integers are divided by zero, ends the process.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["Values", "values_for"]


@dataclass(frozen=True)
class Values:
    """Integers from ``low`` to ``high``, both included, or 0, 1, 2 where they are ``counting``."""

    low: int = 0
    high: int = 0
    counting: bool = False


ZERO, ONE, COUNTING = Values(), Values(1, 1), Values(counting=True)
POSITIVE = Values(1, 3)

# By operator and input.
TAKEN: Mapping[tuple[str, int], Values] = {
    **{(name, 1): COUNTING for name in ("Squeeze", "Unsqueeze")},
    **{
        (f"Reduce{name}", 1): COUNTING
        for name in (
            "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare",
        )
    },
    **{(name, 1): ONE for name in ("Reshape", "Expand", "Tile", "TopK", "ReverseSequence")},
    **{(name, 0): ONE for name in ("ConstantOfShape", "Loop")},
    **{(name, 4): ONE for name in ("RNN", "GRU", "LSTM")},
    **{(name, 1): ZERO for name in ("CumProd", "CumSum", "GatherND", "Pad", "ScatterND", "Trilu")},
    **{(f"Sequence{name}", 1): ZERO for name in ("At", "Erase")},
    **{(name, 1): POSITIVE for name in ("Div", "Mod", "QuantizeLinear", "DequantizeLinear")},
    **{(f"{name}Window", 0): Values(8, 8) for name in ("Blackman", "Hamming", "Hann")},
    ("Slice", 1): ZERO,
    ("Slice", 2): ONE,
    ("Slice", 3): COUNTING,
    ("Slice", 4): ONE,
    ("Range", 0): ZERO,
    ("Range", 1): Values(4, 4),
    ("Range", 2): ONE,
    ("OneHot", 1): Values(4, 4),
    ("Upsample", 1): ONE,
    ("Resize", 2): ONE,
    ("Resize", 3): Values(4, 4),
    ("NonMaxSuppression", 2): ONE,
    ("NonMaxSuppression", 3): Values(0, 1),
    ("RoiAlign", 2): ZERO,
    ("BitShift", 1): Values(0, 3),
}  # fmt: skip
# Indices into the entries along an axis; the attribute that names it, and its default.
INDEXED = {"Gather": 0, "GatherElements": 0, "ScatterElements": 0, "Scatter": 0}
# What hands on the numbers that it reads.
PASSING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def values_for(value: ir.Value) -> Values | None:
    """What the readers of ``value`` take, None where they take any number.

    Floats are drawn from it as well where an operator needs positive ones.  A single integer is a
    size, a count or a divisor more often than not.
    """
    # By hand, not by recursion: numbers may be handed on a thousand times.
    waiting = [(value, iter(value.uses()))]
    while waiting:
        read, uses = waiting[-1]
        node, index = next(uses, (None, 0))
        if node is None:
            if is_single_integer(read):
                return ONE
            waiting.pop()
        elif node.domain not in ("", "ai.onnx"):
            continue
        elif (found := taken(node, index)) is not None:
            if not (is_free(read) and node.op_type in ("Div", "Mod")):
                return found
        elif index == 0 and node.op_type in PASSING:
            waiting.append((node.outputs[0], iter(node.outputs[0].uses())))
    return None


def is_single_integer(value: ir.Value) -> bool:
    """Tell whether ``value`` holds one integer, whatever its rank."""
    shape = value.shape
    single = shape is not None and shape.is_static() and math.prod(shape.numpy()) == 1
    return single and value.dtype is not None and value.dtype.is_integer()


def is_free(value: ir.Value) -> bool:
    """Tell whether ``value`` holds floats, which may be divided by."""
    return value.dtype is not None and value.dtype.is_floating_point()


def taken(node: ir.Node, index: int) -> Values | None:
    if node.op_type not in INDEXED or index != 1:
        return TAKEN.get((node.op_type, index))
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    axis = node.attributes.get_int("axis", INDEXED[node.op_type])
    size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else 1
    return Values(0, max(size - 1, 0)) if isinstance(size, int) else ZERO
