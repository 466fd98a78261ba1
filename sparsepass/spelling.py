"""Model files spell some things in several ways; the rest of the project knows one of each."""

import itertools
from collections.abc import Iterable, Iterator

import onnx
from onnx import GraphProto, OperatorSetIdProto, TypeProto

from sparsepass.checks import OPSET_OF_NOTHING, all_graphs, all_nodes

__all__ = ["spell_alike"]

LONG_NAME = "ai.onnx"


def spell_alike(proto: onnx.ModelProto) -> None:
    """Respell ``proto`` in place, its meaning unchanged.

    The standard domain has the empty name, and its opset is always imported.  A size below 0 is an
    open one, as older exporters write it.  The type of an output that is a map, which onnx_ir does
    not read, is left to be inferred.  Outputs of a function that a call leaves without a name get
    one: onnx_ir drops those at the end, and ONNX Runtime asks for all.
    """
    for node in all_nodes(proto):
        if node.domain == LONG_NAME:
            node.domain = ""
    for function in proto.functions:
        spell_opsets(function.opset_import)
    spell_opsets(proto.opset_import)
    name_left_out(proto)
    if all(entry.domain for entry in proto.opset_import):
        proto.opset_import.append(OperatorSetIdProto(domain="", version=OPSET_OF_NOTHING))
    for graph in all_graphs(proto):
        for value in (*graph.output, *graph.value_info):
            if has_map(value.type):
                value.ClearField("type")
    for shape in (shape for graph in all_graphs(proto) for shape in shapes_in(graph)):
        for size in shape.dim:
            if size.dim_value < 0:
                size.ClearField("dim_value")


def name_left_out(proto: onnx.ModelProto) -> None:
    """Name the outputs of calls that nobody reads."""
    functions = {(function.domain, function.name) for function in proto.functions}
    if not functions:
        return
    taken = {name for node in all_nodes(proto) for name in (*node.input, *node.output)}
    names = (name for count in itertools.count() if (name := f"unread.{count}") not in taken)
    for node in all_nodes(proto):
        if (node.domain, node.op_type) in functions:
            node.output[:] = [name or next(names) for name in node.output]


def has_map(kind: TypeProto) -> bool:
    """Tell whether a type is a map, or a sequence of maps."""
    inner = kind.sequence_type.elem_type
    return kind.HasField("map_type") or (kind.HasField("sequence_type") and has_map(inner))


def spell_opsets(entries: Iterable[OperatorSetIdProto]) -> None:
    for entry in entries:
        if entry.domain == LONG_NAME:
            entry.domain = ""


def shapes_in(graph: GraphProto) -> Iterator[onnx.TensorShapeProto]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from shapes_of(value.type)


def shapes_of(kind: TypeProto) -> Iterator[onnx.TensorShapeProto]:
    """The shapes in a type, of the elements of a sequence or an optional too."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            yield kind.tensor_type.shape
        case "sequence_type":
            yield from shapes_of(kind.sequence_type.elem_type)
        case "optional_type":
            yield from shapes_of(kind.optional_type.elem_type)
        case _:
            return
