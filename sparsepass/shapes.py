"""The sizes a plan is made for.

A model may leave sizes open (a dynamic batch).  The exported file keeps them open; the plan is
made for one set of sizes, found by shape inference on a copy with fixed inputs.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from sparsepass.errors import UsageError

__all__ = [
    "Inferred",
    "check_shapes",
    "concrete_shapes",
    "infer",
    "input_shapes",
    "open_inputs",
    "open_shapes",
    "open_sizes",
    "open_values",
    "parse_shape",
    "real_inputs",
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

    Raises UsageError for what ``check_shapes`` refuses, and open sizes besides the batch that
    ``shapes`` does not give.
    """
    for value in open_inputs(model, shapes):
        if value.shape is not None:
            raise UsageError(open_sizes(value))
    return settled_shapes(model, shapes)


def open_inputs(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> list[ir.Value]:
    """Return the inputs of which a size besides the batch is neither declared nor given."""
    found = settled_shapes(model, shapes)
    return [value for value in real_inputs(model.graph) if value.name not in found]


def open_sizes(value: ir.Value) -> str:
    """What a user should do about one of ``open_inputs``."""
    sizes = "no declared sizes" if value.shape is None else f"open sizes {value.shape}"
    return f"input {value.name!r} has {sizes}; give --shape {value.name}:1,3,224,224"


def check_shapes(model: ir.Model, shapes: Mapping[str, Sequence[int]] | None) -> None:
    """Raise UsageError for a name that is no input and sizes that contradict the model."""
    inputs = {value.name or "": value.shape for value in real_inputs(model.graph)}
    for name, given in (shapes or {}).items():
        if name not in inputs:
            raise UsageError(
                f"--shape {name}: no such input; the model has {', '.join(inputs) or 'none'}"
            )
        if contradicts(inputs[name], given):
            sizes = ",".join(map(str, given))
            raise UsageError(
                f"--shape {name}:{sizes} contradicts the model's {inputs[name]}; "
                "change the open sizes only"
            )


def settled_shapes(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Dims]:
    """Return what ``input_shapes`` does, without the inputs whose sizes are open."""
    check_shapes(model, shapes)
    given = shapes or {}
    found = {
        value.name or "": settled(value.shape, given.get(value.name or ""))
        for value in real_inputs(model.graph)
    }
    return {name: dims for name, dims in found.items() if dims is not None}


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
    """Return all of it at once; ``shapes`` settles open inputs, others stay open."""
    inputs = {name: ir.Shape(dims) for name, dims in settled_shapes(model, shapes).items()}
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


def settled(declared: ir.Shape | None, given: Sequence[int] | None) -> Dims | None:
    """The sizes given, else those declared, 1 for an open batch; None where others are open."""
    if given is not None:
        return tuple(given)
    if declared is None:
        return None
    sizes = [1 if axis == 0 and not isinstance(d, int) else d for axis, d in enumerate(declared)]
    dims = tuple(size for size in sizes if isinstance(size, int))
    return dims if len(dims) == len(sizes) else None


def contradicts(declared: ir.Shape | None, given: Sequence[int]) -> bool:
    return declared is not None and (
        len(declared) != len(given)
        or any(isinstance(d, int) and d != g for d, g in zip(declared, given, strict=True))
    )


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
    # Where a type is inferred that onnx_ir does not read, a map, sizes stay unknown.
    with suppress(ir.serde.SerdeError):
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
