"""The sizes a plan is made for.

A model may leave sizes open (a dynamic batch).  The exported file keeps them open; the plan is
made for one set of sizes, found by shape inference on a copy with fixed inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from sparsepass.errors import UsageError

__all__ = [
    "Inferred",
    "concrete_shapes",
    "infer",
    "input_shapes",
    "open_shapes",
    "open_values",
    "parse_shape",
]

Dims = tuple[int, ...]

REPEATING = ("ConstantOfShape", "Expand", "Range", "Tile")
LONGEST_VECTOR = 1024


def parse_shape(text: str) -> tuple[str, Dims]:
    """Read ``data:1,3,224,224`` as an input's name and sizes; raises UsageError."""
    name, _, sizes = text.rpartition(":")
    try:
        dims = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        dims = ()
    if not name or not dims or min(dims) < 1:
        raise UsageError(f"--shape {text!r} is not a shape; write name:1,3,224,224")
    return name, dims


def input_shapes(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Dims]:
    """Return the sizes of every tensor input: its own, those given, and 1 for an open batch.

    Raises UsageError for a name that is no input, sizes that contradict the model, and open sizes
    besides the batch that ``shapes`` does not give.
    """
    shapes = shapes or {}
    inputs = {value.name or "": value for value in real_inputs(model.graph)}
    for name in shapes:
        if name not in inputs:
            raise UsageError(
                f"--shape {name}: no such input; the model has {', '.join(inputs) or 'none'}"
            )
    return {
        name: fixed(name, value.shape, shapes.get(name))
        for name, value in inputs.items()
        if value.shape is not None or name in shapes
    }


@dataclass(frozen=True)
class Inferred:
    """What can be known of the values of a main graph, by their names.

    ``sizes`` are those that a plan is made for, see ``concrete_shapes``; ``shapes`` and ``values``
    leave open what the model leaves open, see ``open_shapes`` and ``open_values``.
    """

    sizes: Mapping[str, Dims]
    shapes: Mapping[str, ir.Shape]
    values: Mapping[str, ir.Value]


def infer(model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None) -> Inferred:
    """Return all of it at once; ``shapes`` settles open inputs, see ``input_shapes``."""
    inputs = {name: ir.Shape(dims) for name, dims in input_shapes(model, shapes).items()}
    left_open = settled = inferred(model, {})
    if any(value.shape != inputs.get(value.name or "") for value in real_inputs(model.graph)):
        settled = inferred(model, inputs)
    return Inferred(
        sizes_of(known_shapes(model, settled)),
        known_shapes(model, left_open),
        named_values(left_open),
    )


def concrete_shapes(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Dims]:
    """Return the sizes of every value of the main graph that can be known; see ``input_shapes``."""
    inputs = {name: ir.Shape(dims) for name, dims in input_shapes(model, shapes).items()}
    return sizes_of(known_shapes(model, inferred(model, inputs)))


def open_shapes(model: ir.Model) -> dict[str, ir.Shape]:
    """Return the shapes of the values of the main graph with the model's own open sizes left in."""
    return known_shapes(model, inferred(model, {}))


def open_values(model: ir.Model) -> dict[str, ir.Value]:
    """Return copies of the values of the main graph that carry all types and sizes to be known.

    Sizes that the model leaves open are open here.
    """
    return named_values(inferred(model, {}))


def real_inputs(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs that a caller has to give: those without a constant behind them."""
    return [value for value in graph.inputs if value.name not in graph.initializers]


def fixed(name: str, declared: ir.Shape | None, given: Sequence[int] | None) -> Dims:
    if given is None:
        assert declared is not None
        dims = tuple(
            dim if isinstance(dim, int) else 1 if axis == 0 else None
            for axis, dim in enumerate(declared)
        )
        if None in dims:
            raise UsageError(
                f"input {name!r} has open sizes {declared}; give --shape {name}:1,3,224,224"
            )
        return tuple(dim for dim in dims if dim is not None)
    clash = declared is not None and (
        len(declared) != len(given)
        or any(isinstance(d, int) and d != g for d, g in zip(declared, given, strict=True))
    )
    if clash:
        sizes = ",".join(map(str, given))
        raise UsageError(
            f"--shape {name}:{sizes} contradicts the model's {declared}; change the open sizes only"
        )
    return tuple(given)


def inferred(model: ir.Model, inputs: Mapping[str, ir.Shape]) -> ir.Model:
    """A copy of ``model`` whose values carry inferred types, and sizes for those of ``inputs``."""
    copy = model.clone()
    # Recorded shapes may belong to other sizes than those asked for: only the inputs count.
    for node in copy.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    for value in real_inputs(copy.graph):
        value.shape = inputs.get(value.name or "", value.shape)
    run_inference(copy, data_prop=False)
    if not has_long_vector(copy.graph):
        run_inference(copy, data_prop=True)
    return copy


def run_inference(model: ir.Model, *, data_prop: bool) -> None:
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=data_prop)(model)


def has_long_vector(graph: ir.Graph) -> bool:
    """Tell whether a node may repeat a number so often that onnx runs out of time or memory.

    Data propagation in onnx 1.23 writes every element of a vector out, whatever its length.
    """
    outputs = [node.outputs[0] for node in graph.all_nodes() if node.op_type in REPEATING]
    return any(
        value.shape is None
        or (
            len(value.shape) == 1
            and not (value.shape.is_static() and value.shape.numpy()[0] <= LONGEST_VECTOR)
        )
        for value in outputs
    )


def values_of(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(v for n in graph for v in n.outputs)]


def shapes_of(model: ir.Model) -> dict[str, ir.Shape]:
    values = values_of(model.graph)
    return {v.name: v.shape for v in values if v.name and v.shape is not None}


def named_values(model: ir.Model) -> dict[str, ir.Value]:
    return {value.name: value for value in values_of(model.graph) if value.name}


def known_shapes(model: ir.Model, copy: ir.Model) -> dict[str, ir.Shape]:
    """What inference found in a ``copy``, else what the model says of sizes that are not open."""
    declared = {name: shape for name, shape in shapes_of(model).items() if shape.is_static()}
    return declared | shapes_of(copy)


def sizes_of(shapes: Mapping[str, ir.Shape]) -> dict[str, Dims]:
    """The shapes of which every size is known."""
    return {
        name: tuple(int(str(dim)) for dim in shape)
        for name, shape in shapes.items()
        if shape.is_static()
    }
