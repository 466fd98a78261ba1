"""Which memory layout each node would run in, for the price of changing it.

ONNX Runtime runs convolutions in a layout that keeps a block of channels together (NCHWc) and
stays in it while the operators between allow.  The rules below were found by reading the graphs
that ONNX Runtime 1.31 makes of small models; a test repeats that.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

import networkx as nx
import onnx_ir as ir

from sparsepass.graph.branches import branches
from sparsepass.graph.pools import max_pool_windows
from sparsepass.graph.values import bodies, constant_array, is_read_once, is_standard
from sparsepass.layer import Layer
from sparsepass.shapes import Inferred
from sparsepass.target import CHANNEL_STEP

__all__ = ["blocked_nodes", "layout_graph"]

Dims = tuple[int, ...]

FLOAT_BYTES = 4
ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Identity", "Dropout")
# Activation functions that are blocked only where they are fused into the convolution before them.
FUSED_ACTIVATIONS = ("Clip", "LeakyRelu")
# Pools that bring their input into the blocked layout themselves, and those that only stay in it.
LOCAL_POOLS = ("MaxPool", "AveragePool")
GLOBAL_POOLS = ("GlobalAveragePool", "GlobalMaxPool")
LINEAR_COORDINATES = ("asymmetric", "half_pixel", "align_corners")


def layout_graph(
    model: ir.Model, layers: Iterable[Layer], known: Inferred, *, block: int = 16
) -> "nx.MultiDiGraph[str]":
    """Return the main graph as node names, with edges for the tensors between them.

    ``layers`` and ``known`` are what ``graph.layers`` and ``shapes.infer`` find in ``model``.

    Every node has an ``op_type``, see ``operator``, and a ``kind``: "layer" (its layout depends on
    the choice of algorithm), "transparent" (blocked where all of its inputs are), "blocked"
    (always) or "nchw".  ``reads_blocked`` and ``writes_blocked`` say what ONNX Runtime does with
    the node left to it.  A Concat of two ``branches`` has their names as its ``pair``, other nodes
    have None.  Inputs and outputs of the model are nodes of kind "nchw" named ``input x``
    and ``output y``, with an empty ``op_type``.  Edges, one per value between their ends, carry the
    ``value`` and its ``bytes``; a layout change is paid once per value.

    ``block`` is the number of channels ONNX Runtime keeps together: 16 with AVX-512, else 8.
    """
    sizes = known.sizes
    found = {layer.name: layer for layer in layers}
    pairs = branches(model, found.values(), known.shapes)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for node in model.graph:
        name = node.name or ""
        reads, writes = blocked_ends(node, found.get(name), sizes, block)
        kind = "layer" if name in found else kind_of(node, known.values) if reads else "nchw"
        graph.add_node(
            name,
            kind=kind,
            op_type=operator(node),
            reads_blocked=reads,
            writes_blocked=writes,
            pair=pairs.get(name),
        )
    inside = {
        inner: outer
        for outer in model.graph
        for body in bodies(outer)
        for inner in body.all_nodes()
    }
    for value in [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]:
        producer = value.producer()
        source = f"input {value.name}" if producer is None else producer.name or ""
        readers = [inside.get(use.node, use.node).name or "" for use in value.uses()]
        if value.is_graph_output():
            readers.append(f"output {value.name}")
        size = FLOAT_BYTES * math.prod(sizes.get(value.name or "", (0,)))
        add_edges(graph, source, readers, value.name or "", size)
    return graph


def kind_of(node: ir.Node, known: Mapping[str, ir.Value]) -> str:
    """A max pool between layers of ours becomes an op of ours, and so follows its input."""
    pools = is_standard(node, *LOCAL_POOLS) and max_pool_windows(node, known) is None
    return "blocked" if pools else "transparent"


def blocked_nodes(graph: "nx.DiGraph[str]", lowered: Collection[str]) -> frozenset[str]:
    """Return the nodes that write blocked channels where the ``lowered`` layers write NCHW."""
    found: set[str] = set()
    for name in nx.topological_sort(graph):
        data = cast(Any, graph.nodes[name])
        if data["kind"] == "layer":
            blocked = data["writes_blocked"] and name not in lowered
        elif data["kind"] == "transparent":
            blocked = all(source in found for source in graph.predecessors(name))
        else:
            blocked = data["kind"] == "blocked"
        if blocked:
            found.add(name)
    return frozenset(found)


def add_edges(
    graph: "nx.MultiDiGraph[str]", source: str, readers: Sequence[str], value: str, size: int
) -> None:
    for end in (source, *readers):
        if end not in graph:
            graph.add_node(
                end, kind="nchw", op_type="", reads_blocked=False, writes_blocked=False, pair=None
            )
    for reader in readers:
        graph.add_edge(source, reader, key=value, value=value, bytes=size)


def blocked_ends(
    node: ir.Node, layer: Layer | None, sizes: Mapping[str, Dims], block: int
) -> tuple[bool, bool]:
    """Tell whether ONNX Runtime reads and writes blocked channels where ``node`` is left to it."""
    if layer is not None:
        return convolution_ends(layer, block)
    blocked = is_transparent(node, sizes, block)
    return blocked, blocked


def convolution_ends(layer: Layer, block: int) -> tuple[bool, bool]:
    if layer.op_type != "Conv" or len(layer.kernel) != 2:
        return False, False
    if layer.is_depthwise and layer.filters == layer.groups:
        blocked = layer.filters % CHANNEL_STEP == 0
        return blocked, blocked
    per_group = layer.channels // layer.groups
    if layer.groups > 1:
        blocked = per_group % block == 0 and (layer.filters // layer.groups) % block == 0
        return blocked, blocked
    if per_group < block:
        return False, True
    blocked = per_group % CHANNEL_STEP == 0
    return blocked, blocked


def is_transparent(node: ir.Node, sizes: Mapping[str, Dims], block: int) -> bool:
    """Tell whether ``node`` runs on blocked channels where its inputs come blocked."""
    shapes = [sizes.get(value.name or "", ()) for value in node.inputs if value is not None]
    if not shapes or len(shapes[0]) != 4:
        return False
    channels = shapes[0][1]
    if is_standard(node, *ACTIVATIONS):
        return True
    if is_standard(node, *FUSED_ACTIVATIONS):
        return follows_convolution(node)
    if is_standard(node, *LOCAL_POOLS, *GLOBAL_POOLS):
        return channels % block == 0
    if is_standard(node, "BatchNormalization"):
        return True
    if is_standard(node, "Add", "Sum", "Mul"):
        computed = all(constant_array(value) is None for value in node.inputs)
        return computed and len(set(shapes)) == 1
    if is_standard(node, "Concat"):
        return node.attributes.get_int("axis", 0) in (1, -3) and all(
            len(shape) == 4 and shape[1] % block == 0 for shape in shapes
        )
    return is_standard(node, "Resize") and is_blocked_resize(node, shapes[0], sizes)


def operator(node: ir.Node) -> str:
    """The operator of a node, with the mode of a Resize: its speed in a layout depends on it."""
    mode = node.attributes.get_string("mode", "nearest")
    return f"Resize {mode}" if is_standard(node, "Resize") else node.op_type


def follows_convolution(node: ir.Node) -> bool:
    source = node.inputs[0]
    producer = source.producer() if source is not None else None
    is_fused = source is not None and is_read_once(source)
    return producer is not None and is_standard(producer, "Conv") and is_fused


def is_blocked_resize(node: ir.Node, shape: Dims, sizes: Mapping[str, Dims]) -> bool:
    """Tell whether a Resize enlarges the image by whole factors in a way that is blocked."""
    out = sizes.get(node.outputs[0].name or "", ())
    if len(out) != 4 or out[:2] != shape[:2] or any(b % a for a, b in zip(shape, out, strict=True)):
        return False
    get = node.attributes.get_string
    coordinates = get("coordinate_transformation_mode", "half_pixel")
    if get("mode", "nearest") == "nearest":
        return coordinates == "asymmetric" and get("nearest_mode", "") == "floor"
    return get("mode", "nearest") == "linear" and coordinates in LINEAR_COORDINATES
