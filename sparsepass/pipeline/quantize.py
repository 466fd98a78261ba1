"""Weights of a rewritten network in few bits, rounded by what their layers read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.approximation import Levels, find_levels, repeated, rounded
from sparsepass.coded import Bits, CodedWeight
from sparsepass.graph import constant_array
from sparsepass.layer import Array, Layer
from sparsepass.passes import QuantizeWeights
from sparsepass.pipeline.stages import Studied
from sparsepass.sparsity import Patches, Stats

__all__ = ["quantize"]

MOST_BITS: Bits = 8

Doubles = NDArray[np.float64]
Codes = NDArray[np.intp]


def quantize(studied: Studied, model: ir.Model, bits: Bits, finer: float = 0.0) -> None:
    """Keep the weights of ``model``, a rewritten network, in ``bits``, in place.

    Weights are rounded by the second moments of what they read where calibration has them, and the
    biases then keep the means.  Of 4 bits, the layers that lose most by them for their size take
    8, as long as these hold at most the share ``finer`` of all weights; depthwise ones always do.
    """
    nodes = {node.name: node for node in model.graph}
    found = {
        layer.name: held_of(model.graph, nodes.get(layer.name), layer) for layer in studied.layers
    }
    coded = {
        layer.name: code(layer, found[layer.name], bits, studied.stats[layer.name])
        for layer in studied.layers
        if found[layer.name]
    }
    for name in finer_layers(found, coded, finer) if bits < MOST_BITS else ():
        layer = next(layer for layer in studied.layers if layer.name == name)
        coded[name] = code(layer, found[name], MOST_BITS, studied.stats[name])
    for name, each in coded.items():
        shift_bias(model.graph, found[name][-1].bias, each.shift)
    QuantizeWeights(
        {
            part.name: part.coded(*levels)
            for name, each in coded.items()
            for part, levels in zip(found[name], each.levels, strict=True)
        }
    )(model)


def finer_layers(
    found: Mapping[str, Sequence["Held"]], coded: Mapping[str, "Coded"], share: float
) -> list[str]:
    """The layers that 8 bits help most for the bytes that they take."""
    sizes = {name: sum(part.rows.size for part in found[name]) for name in coded}
    left = share * sum(sizes.values())
    chosen: list[str] = []
    for name in sorted(coded, key=lambda name: -coded[name].lost / sizes[name]):
        if sizes[name] <= left:
            chosen.append(name)
            left -= sizes[name]
    return chosen


@dataclass(frozen=True)
class Coded:
    """The weights of a layer as codes, what the means of its outputs lose, and the share of their
    mean square that is ``lost``."""

    levels: tuple[tuple[Levels, Codes], ...]
    shift: Doubles | None
    lost: float


def code(layer: Layer, held: Sequence["Held"], bits: Bits, stats: Stats) -> Coded:
    """Round the weights of a layer; once for the same weights."""
    own: Bits = MOST_BITS if layer.is_depthwise else bits
    rows = [part.rows for part in held]
    digest = hashlib.sha256(b"".join(part.tobytes() for part in rows)).hexdigest()
    return stats.once(("coded", own, digest), lambda: coded_layer(rows, own, stats.patches))


def coded_layer(rows: Sequence[Array], bits: Bits, patches: Patches | None) -> Coded:
    levels, values = coded_chain(rows, bits, patches)
    if patches is None:
        lost = max(share_of(part - one, one) for part, one in zip(values, rows, strict=True))
        return Coded(tuple(levels), None, lost)
    groups, taps = patches.mean.shape
    exact, changed = whole(rows, groups, taps), whole(values, groups, taps)
    change = changed - exact
    shift = -np.einsum("gft,gt->gf", change, patches.mean).reshape(-1)
    weights = patches.covariance.astype(np.float64)
    lost, kept = (float(np.sum((part @ weights) * part)) for part in (change, exact))
    return Coded(tuple(levels), shift, lost / kept if kept > 0 else 0.0)


def share_of(change: Doubles, exact: Array) -> float:
    kept = float(np.sum(np.square(exact, dtype=np.float64)))
    return float(np.sum(change**2)) / kept if kept > 0 else 0.0


def whole(weights: Sequence[Doubles | Array], groups: int, taps: int) -> Doubles:
    """The weight that a chain computes with, (groups, filters, taps)."""
    one = weights[0] if len(weights) == 1 else merged(weights, taps)
    return one.reshape(groups, -1, taps).astype(np.float64)


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

    def coded(self, levels: Levels, codes: Codes) -> CodedWeight:
        """The weight as the file holds it."""
        table = levels.levels.astype(np.float32) if len(levels.levels) <= 16 else None
        stored: NDArray[Any]
        stored = codes.astype(np.uint8) if table is not None else (codes - 127).astype(np.int8)
        scales = levels.scales.astype(np.float32)
        if self.places is not None:
            flat = stored.reshape(-1)[self.places]
            return CodedWeight(flat, scales, table, self.indices, codes.shape[1])
        if self.flipped:
            return CodedWeight(np.ascontiguousarray(stored.T), scales, table)
        column = scales.reshape(-1, *[1] * (len(self.shape) - 1))
        return CodedWeight(stored.reshape(self.shape), column, table)


def held_of(graph: ir.Graph, node: ir.Node | None, layer: Layer) -> list[Held]:
    """The weights of a layer in the order of a chain, empty where none is an initializer."""
    stem = f"{layer.name}."
    kept, places = array_of(graph, f"{stem}values"), array_of(graph, f"{stem}indices")
    if kept is not None and places is not None:
        rows = np.zeros((layer.filters, layer.taps), np.float32)
        rows.reshape(-1)[places] = kept
        indices = f"{stem}indices"
        return [Held(f"{stem}values", rows, kept.shape, f"{stem}bias", indices, places)]
    if (weight := array_of(graph, f"{layer.name}.weight")) is not None:
        return [dense_held(f"{layer.name}.weight", weight, f"{layer.name}.bias")]
    chain: list[Held] = []
    stem = f"{layer.name}/factor"
    while (weight := array_of(graph, f"{stem}{len(chain)}.weight")) is not None:
        name = f"{stem}{len(chain)}"
        chain.append(dense_held(f"{name}.weight", weight, f"{name}.bias"))
    return chain or own_weight(graph, node, layer)


def own_weight(graph: ir.Graph, node: ir.Node | None, layer: Layer) -> list[Held]:
    """The weight of a layer that is a standard operator still."""
    if node is None or node.domain not in ("", "ai.onnx"):
        return []
    names = [value.name or "" if value is not None else "" for value in node.inputs]
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


def coded_chain(
    weights: Sequence[Array], bits: Bits, patches: Patches | None
) -> tuple[list[tuple[Levels, Codes]], list[Doubles]]:
    """Levels and codes of each weight of a chain, and what they stand for."""
    found: list[tuple[Levels, Codes]] = []
    values: list[Doubles] = []
    for weight in weights:
        moments = None if patches is None else moments_of(weight, values, patches)
        levels, codes = coded_rows(weight, bits, moments)
        found.append((levels, codes))
        values.append(np.where(weight != 0, levels.values(codes), 0.0))
    return found, values


def coded_rows(weight: Array, bits: Bits, moments: Doubles | None) -> tuple[Levels, Codes]:
    """One weight; ``moments`` are (groups, taps, taps)."""
    if moments is None:
        levels = find_levels(weight, bits, np.ones((1, weight.shape[1])))
        return levels, levels.codes(weight)
    groups = len(moments)
    diagonals = np.repeat(np.diagonal(moments, axis1=1, axis2=2), len(weight) // groups, axis=0)
    levels = find_levels(weight, bits, diagonals)
    parts = [
        rounded(Levels(scales, levels.levels), rows, covariance)
        for scales, rows, covariance in zip(
            np.split(levels.scales, groups), np.split(weight, groups), moments, strict=True
        )
    ]
    scales = np.concatenate([part.scales for part, _ in parts])
    return Levels(scales, levels.levels), np.concatenate([codes for _, codes in parts])


def moments_of(weight: Array, before: Sequence[Doubles], patches: Patches) -> Doubles:
    """Second moments of what a weight reads, behind the weights before it in its chain."""
    if not before and weight.shape[1] == patches.covariance.shape[1]:
        return patches.covariance.astype(np.float64)
    features = merged(before, patches.covariance.shape[1])
    moments = features @ patches.covariance[0].astype(np.float64) @ features.T
    inputs = weight.shape[1]
    slices = len(moments) // inputs
    by_slice = moments.reshape(inputs, slices, inputs, slices)
    return np.einsum("isjs->ij", by_slice)[None] / slices


def merged(weights: Sequence[Doubles | Array], taps: int) -> Doubles:
    """What the first weights of a chain make of a patch: each acts on all slices left to it."""
    features = np.eye(taps)
    for weight in weights:
        features = repeated(weight, len(features) // weight.shape[1]) @ features
    return features


def shift_bias(graph: ir.Graph, name: str, shift: Doubles | None) -> None:
    """Add to a bias that nothing else reads."""
    bias = array_of(graph, name)
    if (
        bias is None
        or shift is None
        or bias.shape != shift.shape
        or len(graph.initializers[name].uses()) != 1
    ):
        return
    shifted = (bias + shift).astype(np.float32)
    graph.initializers[name].const_value = ir.tensor(shifted, name=name)
