"""What a network wants to be fed: the name, shape and type of each input."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from sparsepass.consumers import Values, values_for
from sparsepass.errors import UsageError
from sparsepass.limits import memory_bytes
from sparsepass.shapes import input_shapes, open_sizes

__all__ = ["InputSpec", "inputs_of", "only", "refuse_input", "shape_text"]


@dataclass(frozen=True)
class InputSpec:
    """One input of a network, with the sizes that the plan is made for.

    ``values`` is what noise for it is drawn from; None where any number will do.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    values: Values | None = None

    @property
    def batch(self) -> int:
        """Entries along the first axis that one run takes."""
        return self.shape[0] if self.shape else 1


def inputs_of(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> tuple[InputSpec, ...]:
    """The inputs of ``model`` that a caller has to feed; ``shapes`` settles open sizes.

    Raises UsageError for an input that is no tensor of known type and sizes; see ``input_shapes``.
    """
    settled = input_shapes(model, shapes)
    fed = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    return tuple(input_spec(value, settled.get(value.name or "")) for value in fed)


def refuse_input(value: ir.Value) -> str | None:
    """Why nothing can be made up for an input, or None; its sizes may be open."""
    dtype = value.dtype if isinstance(value.type, ir.TensorType) else None
    numbers = None if dtype in (None, ir.DataType.STRING) else np.dtype(dtype.numpy())
    # Types that other packages add to NumPy, such as bfloat16, cannot be handed to ONNX Runtime.
    if numbers is None or numbers.kind not in "fiub" or numbers.isbuiltin != 1:
        return f"input '{value.name}' is no tensor of numbers that NumPy has"
    return None


def input_spec(value: ir.Value, shape: tuple[int, ...] | None) -> InputSpec:
    reason = refuse_input(value)
    if reason or value.dtype is None or shape is None:
        raise UsageError(reason or open_sizes(value))
    dtype = np.dtype(value.dtype.numpy())
    taken, memory = math.prod(shape) * dtype.itemsize, memory_bytes()
    if memory is not None and taken > memory:
        raise UsageError(
            f"input '{value.name}' of {shape_text(shape)} takes {taken:,} bytes, and this machine "
            f"has {memory:,}; give smaller sizes with --shape"
        )
    return InputSpec(value.name or "", dtype, shape, values_for(value))


def only(inputs: Sequence[InputSpec], source: str) -> InputSpec:
    """The only input; raises UsageError where ``source`` says nothing of which of several."""
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise UsageError(f"{source}: the model has {len(inputs)} inputs; give an .npz with {names}")
    return inputs[0]


def shape_text(shape: Sequence[int]) -> str:
    """A shape in words."""
    return "x".join(map(str, shape)) or "scalar"
