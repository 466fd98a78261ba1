"""Weights of a rewritten network in few bits, rounded by what their layers read."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from scipy import optimize

from sparsepass.bits import Bits
from sparsepass.coded import CodedWeight
from sparsepass.layer import Array, Layer
from sparsepass.passes import QuantizeWeights, cuts_of
from sparsepass.pipeline.held_weights import Doubles, Held, array_of, beside, every_held
from sparsepass.pipeline.rounding import rounded_in_order
from sparsepass.pipeline.stages import Studied
from sparsepass.quantization import Coded, code, digest_of, whole
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.sensitivity import Probe, output_errors
from sparsepass.sparsity import Stats

__all__ = ["quantize"]

_optimize = cast(Any, optimize)  # its types are partial
MOST_BITS: Bits = 8
# Samples on which the cost of few bits is measured: it decides an order of layers.
PROBED_SAMPLES = 3


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
