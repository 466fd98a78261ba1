"""The weights that layers have in a rewritten network, and the names that these are held under."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.coded import CodedWeight
from sparsepass.graph import constant_array
from sparsepass.layer import Array, Layer
from sparsepass.passes import BESIDE
from sparsepass.quantization import CodedRows
from sparsepass.runtime.ops import DOMAIN

__all__ = ["Held", "array_of", "beside", "coded_bytes", "every_held"]

# How the nodes that a layer becomes are called, after it: chains in its place and beside it, terms.
PARTS = ("/factor", BESIDE, "/term")
MOST_PARTS = 3
# What is added to a name that was taken.
NUMBER = re.compile(r"_\d+$")
Doubles = NDArray[np.float64]


def coded_bytes(model: ir.Model, layers: Iterable[Layer]) -> dict[str, int]:
    """Bytes that a model whose weights were quantized holds of the weight of each layer."""
    nodes = {node.name or "": node for node in model.graph.all_nodes()}
    ops = constants_of_ops(nodes.values())
    found: dict[str, int] = {}
    for layer in layers:
        parts = (f"{layer.name}{way}{i}" for way in PARTS for i in range(MOST_PARTS))
        plain = (nodes.get(name) for name in (layer.name, *parts))
        weights = [node.inputs[1] for node in plain if node and node.domain != DOMAIN]
        names = (f"{layer.name}.{part}" for part in ("values", "indices", "weight"))
        made = constants_behind([*weights, *map(ops.get, names)])
        found[layer.name] = sum(value.const_value.nbytes for value in made if value.const_value)
    return found


def constants_behind(values: Iterable[ir.Value | None]) -> set[ir.Value]:
    """The values without a producer that ``values`` are, or are made of."""
    found: set[ir.Value] = set()
    waiting = [value for value in values if value is not None]
    while waiting:
        value = waiting.pop()
        producer = value.producer()
        if producer is None:
            found.add(value)
        else:
            waiting.extend(source for source in producer.inputs if source is not None)
    return found


@dataclass(frozen=True)
class Held:
    """A weight as a graph holds it: an initializer, one row a filter, the name of the bias.

    ``places`` are those of a sparse weight's values, ``indices`` the constant that holds them.
    ``shape`` is that of the initializer; ``flipped`` ones have filters last.
    """

    name: str
    rows: Array
    shape: tuple[int, ...]
    bias: str = ""
    indices: str = ""
    places: NDArray[Any] | None = None
    flipped: bool = False

    def coded(self, found: CodedRows) -> CodedWeight:
        """The weight as the file holds it."""
        if self.places is not None:
            flat = found.stored.reshape(-1)[self.places]
            return CodedWeight(flat, found.scales, found.table, self.indices, self.rows.shape[1])
        if self.flipped:
            return CodedWeight(np.ascontiguousarray(found.stored.T), found.scales, found.table)
        column = found.scales.reshape(-1, *[1] * (len(self.shape) - 1))
        return CodedWeight(found.stored.reshape(self.shape), column, found.table)


def every_held(graph: ir.Graph, layers: Sequence[Layer]) -> Iterator[tuple[str, Layer, list[Held]]]:
    """The weights of each layer under its name, then those of the chain beside it, if there are."""
    nodes = {node.name: node for node in graph}
    ops = constants_of_ops(graph)
    for layer in layers:
        own, chain = held_of(graph, nodes, ops, layer), chain_held(graph, nodes, beside(layer))
        for name, held in ((layer.name, own), (beside(layer), chain)):
            if held:
                yield name, layer, held


def beside(layer: Layer) -> str:
    """The name of the chain beside a layer, with which those of its nodes begin."""
    return f"{layer.name}{BESIDE}"


def held_of(
    graph: ir.Graph,
    nodes: Mapping[str | None, ir.Node],
    ops: Mapping[str, ir.Value],
    layer: Layer,
) -> list[Held]:
    """The weights of a layer in the order of a chain, empty where none is an initializer."""
    values, indices, weight, bias = (
        found.name or "" if (found := ops.get(f"{layer.name}.{part}")) else ""
        for part in ("values", "indices", "weight", "bias")
    )
    kept, places = array_of(graph, values), array_of(graph, indices)
    if kept is not None and places is not None:
        rows = np.zeros((layer.filters, layer.taps), np.float32)
        rows.reshape(-1)[places] = kept
        return [Held(values, rows, kept.shape, bias, indices, places)]
    if (array := array_of(graph, weight)) is not None:
        return [dense_held(weight, array, bias)]
    chain = chain_held(graph, nodes, f"{layer.name}/factor")
    return chain or own_weight(graph, nodes.get(layer.name), layer)


def chain_held(graph: ir.Graph, nodes: Mapping[str | None, ir.Node], stem: str) -> list[Held]:
    """The weights of a chain, whose nodes are called ``stem`` and their number."""
    chain: list[Held] = []
    while factor := nodes.get(f"{stem}{len(chain)}"):
        name, bias = input_names(factor)[1:3]
        array = array_of(graph, name)
        if array is None:
            return []
        chain.append(dense_held(name, array, bias))
    return chain


def constants_of_ops(nodes: Iterable[ir.Node]) -> dict[str, ir.Value]:
    """What our operators read besides their input, by the name that it has or should have had."""
    ours = (node for node in nodes if node.domain == DOMAIN)
    read = [value for node in ours for value in node.inputs[1:] if value is not None]
    exact = {value.name or "": value for value in read}
    return {NUMBER.sub("", name): value for name, value in exact.items()} | exact


def input_names(node: ir.Node) -> list[str]:
    return [value.name or "" if value is not None else "" for value in node.inputs]


def own_weight(graph: ir.Graph, node: ir.Node | None, layer: Layer) -> list[Held]:
    """The weight of a layer that is a standard operator still."""
    if node is None or node.domain not in ("", "ai.onnx"):
        return []
    names = input_names(node)
    weight = array_of(graph, names[1])
    if weight is None or weight.size != layer.weight.size:
        return []
    if layer.op_type == "Conv":
        return [dense_held(names[1], weight, names[2] if len(names) > 2 else "")]
    rows = layer.weight.reshape(layer.filters, -1)
    if weight.ndim != 2 or not np.array_equal(weight.T, rows):
        return [Held(names[1], weight, weight.shape)] if np.array_equal(weight, rows) else []
    return [Held(names[1], rows, weight.shape, flipped=True)]


def dense_held(name: str, weight: Array, bias: str) -> Held:
    return Held(name, weight.reshape(len(weight), -1), weight.shape, bias)


def array_of(graph: ir.Graph, name: str) -> NDArray[Any] | None:
    """The value of an initializer, or None where there is none of that name."""
    return constant_array(graph.initializers[name]) if name in graph.initializers else None
