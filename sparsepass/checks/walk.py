"""Everything inside a model file, however deep."""

from collections.abc import Iterable, Iterator

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto

__all__ = ["all_graphs", "all_nodes", "all_tensors", "flat", "subgraphs", "title"]


def all_tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor: constants, attributes, and the parts of sparse ones."""
    for graph in all_graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from sparse_parts(sparse)
    for attribute in (attribute for node in all_nodes(proto) for attribute in node.attribute):
        if attribute.ref_attr_name:
            continue
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
    for node in all_nodes(proto):
        yield from subgraphs(node)


def all_nodes(proto: onnx.ModelProto) -> Iterator[NodeProto]:
    """Yield every node of the main graph, of functions, and of the graphs inside nodes."""
    yield from flat(proto.graph.node)
    for function in proto.functions:
        yield from flat(function.node)


def flat(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield ``nodes`` and the nodes of the graphs inside them."""
    for node in nodes:
        yield node
        for body in subgraphs(node):
            yield from flat(body.node)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that ``node`` holds as attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def title(node: NodeProto) -> str:
    """Name a node for a message: by its own name, else by what it makes."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')!r}"
