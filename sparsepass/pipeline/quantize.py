"""Weights of a rewritten network in few bits, rounded by what their layers read."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from scipy import optimize

from sparsepass.bits import Bits
from sparsepass.coded import CodedWeight
from sparsepass.graph import constant_array
from sparsepass.layer import Array, Layer
from sparsepass.passes import BESIDE, QuantizeWeights, cuts_of
from sparsepass.pipeline.rounding import rounded_in_order
from sparsepass.pipeline.stages import Studied
from sparsepass.quantization import Coded, CodedRows, code, digest_of, whole
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.runtime.ops import DOMAIN
from sparsepass.sensitivity import Probe, output_errors
from sparsepass.sparsity import Stats

__all__ = ["coded_bytes", "quantize"]

_optimize = cast(Any, optimize)  # its types are partial

MOST_BITS: Bits = 8
MOST_PARTS = 3
# Samples on which the cost of few bits is measured: it decides an order of layers.
PROBED_SAMPLES = 3
# How the nodes that a layer becomes are called, after it: chains in its place and beside it, terms.
PARTS = ("/factor", BESIDE, "/term")
# What is added to a name that was taken.
NUMBER = re.compile(r"_\d+$")

Doubles = NDArray[np.float64]


def quantize(
    studied: Studied,
    model: ir.Model,
    bits: Bits,
    finer: float = 0.0,
    options: RunOptions = DEFAULTS,
) -> None:
    """Keep the weights of ``model``, a rewritten network, in ``bits``, in place.

    Weights are rounded by the second moments of what they read where calibration has them, and the
    biases then keep the means; then convolutions once more, in the order of the graph, by what the
    rounded ones before them leave.  Of 4 bits, the layers that cost the outputs most for their size
    take 8, as long as these hold at most the share ``finer`` of all weights; depthwise ones always
    do.
    """
    found: dict[str, list[Held]] = {}
    stats: dict[str, Stats] = {}
    coded: dict[str, Coded] = {}
    for name, layer, held in every_held(model.graph, studied.layers):
        found[name], stats[name] = held, studied.stats[layer.name]
        own: Bits = MOST_BITS if layer.is_depthwise else bits
        coded[name] = code(rows_of(held), own, stats[name])
    if bits < MOST_BITS and finer > 0:
        losses = output_losses(studied, found, coded, bits, options)
        for name in finer_layers(found, losses, finer):
            coded[name] = code(rows_of(found[name]), MOST_BITS, stats[name])
    coded |= coded_in_order(studied, model, found, coded, options)
    weights: dict[str, CodedWeight] = {}
    for name, each in coded.items():
        shift_bias(model.graph, found[name][-1].bias, each.shift)
        parts = zip(found[name], each.weights, strict=True)
        weights |= {part.name: part.coded(rows) for part, rows in parts}
    QuantizeWeights(weights)(model)


def coded_in_order(
    studied: Studied,
    model: ir.Model,
    found: Mapping[str, Sequence["Held"]],
    coded: Mapping[str, Coded],
    options: RunOptions,
) -> dict[str, Coded]:
    """The codes of convolutions that are one weight, rounded by what those before them leave."""
    layers = [layer for layer in studied.layers if layer.name in coded and layer.op_type == "Conv"]
    biases = {layer.name: bias_of(model.graph, found[layer.name][-1], layer) for layer in layers}
    exact = {
        layer.name: (found[layer.name][0].rows.reshape(layer.weight.shape), biases[layer.name])
        for layer in layers
        if is_open(model.graph, found[layer.name], layer, studied.stats[layer.name])
        and beside(layer) not in found
    }
    rounded = {
        layer.name: stand_in(
            layer,
            [(found[name], coded[name]) for name in (layer.name, beside(layer)) if name in found],
            biases[layer.name],
        )
        for layer in layers
    }
    bits: dict[str, Bits] = {name: coded[name].weights[0].bits for name in exact}
    again = rounded_in_order(studied, exact, rounded, bits, cuts_of(model), options)
    return {
        name: Coded((rows,), bias.astype(np.float64) - biases[name], coded[name].lost)
        for name, (rows, bias) in again.items()
    }


def is_open(graph: ir.Graph, held: Sequence["Held"], layer: Layer, stats: Stats) -> bool:
    """Whether a layer is one weight whose inputs are known, with constants of its own."""
    known = stats.patches is not None and not layer.is_depthwise and len(held) == 1
    return known and has_own(graph, held[0].name) and has_own(graph, held[0].bias)


def bias_of(graph: ir.Graph, held: "Held", layer: Layer) -> Array:
    bias = array_of(graph, held.bias)
    return layer.bias if bias is None or bias.shape != layer.bias.shape else bias


def stand_in(
    layer: Layer, summands: Sequence[tuple[Sequence["Held"], Coded]], bias: Array
) -> tuple[Array, Array]:
    """Weight and bias of the one convolution that computes what a layer in few bits computes."""
    weight, shifted = np.zeros(layer.weight.shape), bias.astype(np.float64)
    for held, coded in summands:
        parts = [part.values(one.rows) for part, one in zip(coded.weights, held, strict=True)]
        weight += whole(parts, layer.groups, layer.taps).reshape(weight.shape)
        shifted += 0.0 if coded.shift is None else coded.shift
    return weight.astype(np.float32), shifted.astype(np.float32)


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


def rows_of(held: Sequence["Held"]) -> list[Array]:
    return [part.rows for part in held]


def output_losses(
    studied: Studied,
    found: Mapping[str, Sequence["Held"]],
    coded: Mapping[str, Coded],
    bits: Bits,
    options: RunOptions,
) -> dict[str, float]:
    """The share of the outputs' mean square that the rounding of each layer costs by itself.

    It is measured on a few samples where the layer is a convolution; elsewhere what the layer loses
    of its own outputs stands for it.
    """
    losses = {name: one.lost for name, one in coded.items()}
    layers = {x.name: x for x in studied.layers if x.name in coded and x.op_type == "Conv"}
    keys = {name: ("cost of bits", bits, digest_of(rows_of(found[name]))) for name in layers}
    probes = {
        name: Probe(layer, partial(rounded_alone, layer, found[name], coded[name]))
        for name, layer in layers.items()
        if keys[name] not in studied.stats[name].known
    }
    samples = studied.held_out.take(PROBED_SAMPLES)
    errors = output_errors(studied.prepared.model, probes, samples, options) if probes else {}
    for name, key in keys.items():
        losses[name] = studied.stats[name].once(key, lambda name=name: errors[name] ** 2)
    return losses


def rounded_alone(layer: Layer, held: Sequence["Held"], coded: Coded) -> tuple[Array, Array]:
    """Weight and bias of the original's layer, off by what rounding changes."""
    exact, shape = rows_of(held), (layer.groups, layer.taps)
    values = [part.values(rows) for part, rows in zip(coded.weights, exact, strict=True)]
    change = whole(values, *shape) - whole(exact, *shape)
    bias = layer.bias if coded.shift is None else layer.bias + coded.shift
    weight = layer.weight + change.reshape(layer.weight.shape)
    return weight.astype(np.float32), bias.astype(np.float32)


def finer_layers(
    found: Mapping[str, Sequence["Held"]], losses: Mapping[str, float], share: float
) -> list[str]:
    """The layers whose losses add up to most, with at most that share of all weights."""
    sizes = np.array([sum(part.rows.size for part in found[name]) for name in losses], np.float64)
    if not len(sizes):
        return []
    result = _optimize.milp(
        [-loss for loss in losses.values()],
        integrality=np.ones(len(sizes)),
        bounds=_optimize.Bounds(0, 1),
        constraints=_optimize.LinearConstraint(sizes / sizes.sum(), -np.inf, share),
    )
    return [name for name, taken in zip(losses, result.x, strict=True) if taken > 0.5]


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
    return constant_array(graph.initializers[name]) if name in graph.initializers else None


def shift_bias(graph: ir.Graph, name: str, shift: Doubles | None) -> None:
    """Add to a bias that nothing else reads."""
    bias = array_of(graph, name)
    if bias is None or shift is None or bias.shape != shift.shape or not has_own(graph, name):
        return
    shifted = (bias + shift).astype(np.float32)
    graph.initializers[name].const_value = ir.tensor(shifted, name=name)


def has_own(graph: ir.Graph, name: str) -> bool:
    """Whether a constant is there, and read by one node."""
    return name in graph.initializers and len(graph.initializers[name].uses()) == 1
