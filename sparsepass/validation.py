"""What a model file must satisfy before anything else trusts it.

Model files are untrusted.  The checks here cover what onnx.checker accepts although it cannot be
used: external data past its file's end, payloads of the wrong length, convolutions whose numbers
make no sense, sizes whose product overflows.
"""

import functools
import graphlib
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePath

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from sparsepass.errors import ModelError

__all__ = ["all_graphs", "check_convolutions", "check_proto", "element_count"]

OLDEST_OPSET = 7
RUNTIME_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
STANDARD_DOMAINS = ("", "ai.onnx")


def check_proto(proto: onnx.ModelProto, label: str, folder: Path | None, max_bytes: int) -> None:
    """Raise ModelError unless versions, tensors, names and calls of ``proto`` are usable.

    ``label`` names the model in messages; ``folder`` is where external data may lie, None where
    it may not be used at all.
    """
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{label}: holds no graph; it is not an ONNX model or it is truncated")
    check_versions(proto, label)
    room = max_bytes
    for tensor in all_tensors(proto):
        room -= check_tensor(tensor, label, folder, room)
    check_scope(proto.graph.node, proto.graph, label, set())
    for function in proto.functions:
        check_body(function, label)
    check_calls(proto, label)


# --- versions ------------------------------------------------------------------------------------


def check_versions(proto: onnx.ModelProto, label: str) -> None:
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    opset = versions.get("", versions.get("ai.onnx"))
    if opset is None:
        raise ModelError(f"{label}: imports no ONNX opset; export it again with opset 17")
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"{label}: opset {opset} is older than {OLDEST_OPSET}; convert it with onnx.version_converter"
        )
    if not runs(proto.ir_version, opset):
        raise ModelError(
            f"{label}: IR version {proto.ir_version} with opset {opset} is not taken by the installed "
            f"onnxruntime {ort.__version__}; export with an older opset or upgrade onnxruntime"
        )


@functools.cache
def runs(ir_version: int, opset: int) -> bool:
    """Tell whether the installed ONNX Runtime loads a model of these versions, by trying."""
    value = {"elem_type": TensorProto.FLOAT, "shape": [1]}
    probe = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])],
            "probe",
            [onnx.helper.make_tensor_value_info("x", **value)],
            [onnx.helper.make_tensor_value_info("y", **value)],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    probe.ir_version = ir_version
    return refusal(probe) is None


def refusal(proto: onnx.ModelProto) -> str | None:
    """Return the first line of what ONNX Runtime says against loading ``proto``, or None."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        return str(error).splitlines()[0]
    return None


# --- tensors -------------------------------------------------------------------------------------


def element_count(dims: Iterable[int], what: str) -> int:
    """Return the product of ``dims``; raises ModelError, naming ``what``, where one is negative."""
    dims = list(dims)
    if any(dim < 0 for dim in dims):
        raise ModelError(f"{what} has a negative size {dims}; the file is damaged, export it again")
    return math.prod(dims)


def check_tensor(tensor: TensorProto, label: str, folder: Path | None, room: int) -> int:
    """Check one tensor and return its size in bytes, at most ``room``."""
    what = f"{label}: tensor {tensor.name!r}"
    count = element_count(tensor.dims, what)
    try:
        kind = ir.DataType(tensor.data_type)
        width = 0 if kind == ir.DataType.STRING else kind.itemsize
    except (ValueError, TypeError):
        raise ModelError(
            f"{what} has unknown type {tensor.data_type}; export the model again"
        ) from None
    if count * Fraction(width) > room:
        raise ModelError(
            f"{what} of shape {list(tensor.dims)} goes over the size limit; raise --max-bytes"
        )
    nbytes = math.ceil(count * width)
    if tensor.data_location == TensorProto.EXTERNAL:
        check_external(tensor, what, folder, nbytes)
    elif tensor.HasField("raw_data"):
        expect(what, "bytes", len(tensor.raw_data), nbytes)
    else:
        field, length = typed_payload(kind, count)
        expect(what, "values", len(getattr(tensor, field)), length)
    return nbytes


def expect(what: str, unit: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ModelError(
            f"{what} holds {found} {unit} where its shape needs {wanted}; the file is damaged, export it again"
        )


def typed_payload(kind: ir.DataType, count: int) -> tuple[str, int]:
    """Return the field of TensorProto that holds values of ``kind``, and how many it needs."""
    field = onnx.helper.tensor_dtype_to_field(int(kind))
    if kind in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        return field, 2 * count
    packed = kind != ir.DataType.STRING and kind.itemsize < 1
    return field, math.ceil(count * kind.itemsize) if packed else count


def check_external(tensor: TensorProto, what: str, folder: Path | None, nbytes: int) -> None:
    if folder is None:
        raise ModelError(f"{what} lies in another file; give the model as a path, not as bytes")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    data = external_path(location, folder, what)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(nbytes)))
    except ValueError:
        raise ModelError(f"{what}: offset or length is no number; export the model again") from None
    expect(what, "bytes", length, nbytes)
    if offset < 0 or offset + length > data.stat().st_size:
        raise ModelError(f"{what} reaches past the end of {location}; copy the whole file again")


def external_path(location: str, folder: Path, what: str) -> Path:
    """Return the regular file inside ``folder`` that ``location`` names; raises ModelError."""
    parts = PurePath(location).parts
    if not parts or PurePath(location).is_absolute() or ".." in parts or "\0" in location:
        raise ModelError(
            f"{what}: external data {location!r} leaves the model's folder; move it beside the model"
        )
    data = folder / location
    steps = [folder.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    if any(step.is_symlink() for step in steps):
        raise ModelError(
            f"{what}: external data {location!r} is a symbolic link; put the file itself there"
        )
    if not data.is_file():
        raise ModelError(f"{what}: external data {location!r} is missing; copy it beside the model")
    return data


# --- names ---------------------------------------------------------------------------------------


def check_scope(nodes: Sequence[NodeProto], graph: GraphProto, label: str, outer: set[str]) -> None:
    """Check names of one graph: each value made once, nothing read that is not made, no cycle."""
    constants = [tensor.name for tensor in graph.initializer]
    constants += [sparse.values.name for sparse in graph.sparse_initializer]
    inputs = [value.name for value in graph.input]
    for kind, names in (("initializer", constants), ("input", inputs)):
        if (name := repeated(names)) is not None:
            raise ModelError(f"{label}: {kind} {name!r} appears twice; export the model again")
    makers = check_nodes(nodes, {*constants, *inputs}, label, outer)
    for value in graph.output:
        if value.name not in {*makers, *constants, *inputs, *outer}:
            raise ModelError(
                f"{label}: nothing makes the output {value.name!r}; export the model again"
            )


def check_body(function: onnx.FunctionProto, label: str) -> None:
    makers = check_nodes(function.node, set(function.input), label, set())
    for name in function.output:
        if name not in makers and name not in function.input:
            raise ModelError(
                f"{label}: nothing makes {name!r} of function {function.name!r}; export again"
            )


def check_nodes(
    nodes: Sequence[NodeProto], given: set[str], label: str, outer: set[str]
) -> dict[str, int]:
    """Check the nodes of one graph or function and return which node makes each value."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in given:
                raise ModelError(
                    f"{label}: value {name!r} is made twice, again by {title(node)}; rename one"
                )
            makers[name] = index
    known = {*makers, *given, *outer}
    for node in nodes:
        for name in filter(None, node.input):
            if name not in known:
                raise ModelError(
                    f"{label}: {title(node)} reads {name!r}, which nothing makes; export again"
                )
        for body in subgraphs(node):
            check_scope(body.node, body, label, known)
    order = graphlib.TopologicalSorter(
        {
            i: [makers[name] for name in reads(node) if name in makers]
            for i, node in enumerate(nodes)
        }
    )
    try:
        order.prepare()
    except graphlib.CycleError as error:
        index = error.args[1][0]
        raise ModelError(
            f"{label}: {title(nodes[index])} depends on its own output; break the cycle"
        ) from None
    return makers


def reads(node: NodeProto) -> Iterator[str]:
    """Yield the names that ``node`` and the bodies inside it read."""
    yield from node.input
    for body in subgraphs(node):
        for inner in body.node:
            yield from reads(inner)
        yield from (value.name for value in body.output)


def check_calls(proto: onnx.ModelProto, label: str) -> None:
    """Check that functions do not call themselves and that foreign operators are known."""
    functions = {(f.domain, f.name): f for f in proto.functions}
    calls = {
        key: [(n.domain, n.op_type) for n in flat(f.node) if (n.domain, n.op_type) in functions]
        for key, f in functions.items()
    }
    try:
        graphlib.TopologicalSorter(calls).prepare()
    except graphlib.CycleError as error:
        raise ModelError(
            f"{label}: function {error.args[1][0][1]!r} calls itself; remove the call"
        ) from None
    foreign = next(
        (
            node
            for node in flat(proto.graph.node)
            if node.domain not in STANDARD_DOMAINS and (node.domain, node.op_type) not in functions
        ),
        None,
    )
    if foreign is not None and (reason := refusal(proto)) is not None:
        raise ModelError(
            f"{label}: {title(foreign)} is {foreign.domain}::{foreign.op_type}, and onnxruntime does not "
            f"load the model ({reason}); inline or replace the operator"
        )


def check_convolutions(graph: ir.Graph, label: str) -> None:
    """Raise ModelError for a Conv whose attributes contradict its weight or each other."""
    for node in graph.all_nodes():
        if node.op_type == "Conv" and node.domain in STANDARD_DOMAINS:
            wrong = convolution_fault(node)
            if wrong is not None:
                raise ModelError(
                    f"{label}: Conv {node.name or node.outputs[0].name!r}: {wrong}; export again"
                )


def convolution_fault(node: ir.Node) -> str | None:
    """Return what is wrong with a Conv, or None."""
    if len(node.inputs) < 2 or node.inputs[0] is None or node.inputs[1] is None:
        return "it has no weight"
    attributes = node.attributes
    weight, data = node.inputs[1].shape, node.inputs[0].shape
    if weight is not None and data is not None and len(weight) != len(data):
        return f"its weight has {len(weight)} axes and its input {len(data)}"
    for name in ("strides", "dilations", "kernel_shape"):
        values = attributes.get_ints(name, ())
        if any(value < 1 for value in values):
            return f"{name} {list(values)} must be positive"
        if weight is not None and values and len(values) != len(weight) - 2:
            return f"{name} {list(values)} does not fit a weight of {len(weight)} axes"
    pads = attributes.get_ints("pads", ())
    if weight is not None and pads and len(pads) != 2 * (len(weight) - 2):
        return f"pads {list(pads)} does not fit a weight of {len(weight)} axes"
    group = attributes.get_int("group", 1)
    if group < 1 or (weight is not None and isinstance(weight[0], int) and weight[0] % group):
        return f"group {group} does not divide the filters"
    if weight is None or not weight.is_static():
        return None
    if len(weight) < 3 or 0 in weight.numpy():
        return f"its weight has shape {list(weight.numpy())}"
    kernel = attributes.get_ints("kernel_shape", weight.numpy()[2:])
    if tuple(kernel) != weight.numpy()[2:]:
        return f"kernel_shape {list(kernel)} contradicts its weight {list(weight.numpy())}"
    channels = data[1] if data is not None and len(data) > 1 else None
    if isinstance(channels, int) and channels != group * weight.numpy()[1]:
        return f"its input has {channels} channels and its weight takes {group * weight.numpy()[1]}"
    return None


# --- walking a proto -----------------------------------------------------------------------------


def all_tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    for graph in all_graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from sparse_parts(sparse)
    nodes = [*flat(proto.graph.node), *(n for f in proto.functions for n in flat(f.node))]
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == AttributeProto.SPARSE_TENSOR:
            yield from sparse_parts(attribute.sparse_tensor)
        yield from attribute.tensors


def sparse_parts(sparse: SparseTensorProto) -> Iterator[TensorProto]:
    yield sparse.values
    yield sparse.indices


def all_graphs(proto: onnx.ModelProto) -> Iterator[GraphProto]:
    """Yield the main graph and every graph inside a node, of functions too."""
    yield proto.graph
    nodes = [*flat(proto.graph.node), *(n for f in proto.functions for n in flat(f.node))]
    for node in nodes:
        yield from subgraphs(node)


def flat(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield ``nodes`` and the nodes of the graphs inside them."""
    for node in nodes:
        yield node
        for body in subgraphs(node):
            yield from flat(body.node)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def title(node: NodeProto) -> str:
    """Name a node for a message: by its own name, else by what it makes."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')!r}"
