"""Keep weights in few bits: standard operators make them float32 again when a runtime loads them.

Before: an initializer W.  After: W = Mul(Cast(codes), scales), or Mul(Gather(levels, codes),
scales) with two codes a byte.  Indices of a sparse weight become their steps, of one byte or two,
which CumSum adds up; its scales are those of the filters that the indices lie in.

ONNX Runtime folds all this into constants at load, so that it runs the kernels that it ran before.
It would not fold DequantizeLinear, which it keeps for integer kernels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.coded import CodedWeight
from sparsepass.graph import constant_array
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["QuantizeWeights"]

logger = logging.getLogger(__name__)

# CumSum came with this opset; before, indices stay as they are.
CUMSUM_OPSET = 11


@dataclass(frozen=True)
class QuantizeWeights(ir.passes.InPlacePass):
    """Replace the initializers that ``weights`` names by their codes; others are left alone.

    So are those that are outputs of the graph.
    """

    weights: Mapping[str, CodedWeight]
    name: ClassVar[str] = "quantize-weights"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        held = model.graph.initializers
        found = [n for n in self.weights if n in held and not held[n].is_graph_output()]
        place = Place(model.graph)
        for name in found:
            coded = self.weights[name]
            writer = Writer(place, name)
            if coded.indices:
                steps = model.opset_imports[""] >= CUMSUM_OPSET
                indices = write_indices(place, coded.indices, steps=steps)
                scales = writer.scales_of(indices, coded)
            else:
                scales = writer.constant("scales", coded.scales)
            writer.put("Mul", [writer.units(coded), scales])
            take_place(name, writer)
            logger.info("%s is held in %d bits", name, 4 if coded.levels is not None else 8)
        return ir.passes.PassResult(model, modified=bool(found))


class Place:
    """The graph that weights are written into, its names and the order of its nodes."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph, self.names = graph, Names(graph)
        self.order = {node: position for position, node in enumerate(graph)}

    def first_reader(self, value: ir.Value) -> ir.Node:
        """The first node that reads ``value``, of those that were there before."""
        readers = {use.node for use in value.uses()} & self.order.keys()
        return min(readers, key=self.order.__getitem__)


@dataclass
class Writer:
    """Nodes that make the value of one initializer, in order; the last one makes it."""

    place: Place
    name: str
    nodes: list[ir.Node] = field(default_factory=list[ir.Node])

    def constant(self, what: str, array: NDArray[Any]) -> ir.Value:
        place = self.place
        return new_initializer(place.graph, f"{self.name}.{what}", array, place.names)

    def put(self, op_type: str, inputs: list[ir.Value], **attributes: int) -> ir.Value:
        """Add a node; returns its output."""
        name = f"{self.name}/{len(self.nodes)}"
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = self.place.names.free(f"{name}.value")
        self.nodes.append(node)
        return node.outputs[0]

    def whole(self, codes: ir.Value) -> ir.Value:
        return self.put("Cast", [codes], to=int(ir.DataType.INT32))

    def units(self, coded: CodedWeight) -> ir.Value:
        """The weight without its scales."""
        if coded.levels is None:
            codes = self.constant("codes", coded.codes)
            return self.put("Cast", [codes], to=int(ir.DataType.FLOAT))
        flat = coded.codes.reshape(-1).astype(np.uint8)
        pairs = np.append(flat, np.zeros(len(flat) % 2, np.uint8)).reshape(-1, 2)
        both = self.whole(self.constant("codes", pairs[:, 0] * np.uint8(16) + pairs[:, 1]))
        sixteen = self.constant("sixteen", np.array([16], np.int32))
        high = self.put("Div", [both, sixteen])
        low = self.put("Sub", [both, self.put("Mul", [high, sixteen])])
        column = self.constant("column", np.array([-1, 1], np.int64))
        columns = [self.put("Reshape", [part, column]) for part in (high, low)]
        codes = self.put("Concat", columns, axis=1)
        units = self.put("Gather", [self.constant("levels", coded.levels), codes])
        if len(flat) % 2:
            row = self.constant("row", np.array([-1], np.int64))
            kept = self.constant("kept", np.arange(len(flat), dtype=np.int32))
            units = self.put("Gather", [self.put("Reshape", [units, row]), kept])
        return self.put(
            "Reshape", [units, self.constant("shape", np.array(coded.codes.shape, np.int64))]
        )

    def scales_of(self, indices: ir.Value, coded: CodedWeight) -> ir.Value:
        """The scale of the filter that each index lies in."""
        taps = self.constant("taps", np.array([coded.taps], np.int32))
        filters = self.put("Div", [indices, taps])
        return self.put("Gather", [self.constant("scales", coded.scales), filters])


def write_indices(place: Place, name: str, *, steps: bool) -> ir.Value:
    """Ascending indices as the steps between them; returns what stands for them."""
    value = place.graph.initializers[name]
    indices = constant_array(value)
    assert indices is not None, name
    gaps = np.diff(indices, prepend=0)
    widest = int(gaps.max(initial=0))
    if not steps or widest > np.iinfo(np.uint16).max:
        return value
    small = np.uint8 if widest <= np.iinfo(np.uint8).max else np.uint16
    writer = Writer(place, name)
    each = writer.whole(writer.constant("steps", gaps.astype(small)))
    writer.put("CumSum", [each, writer.constant("axis", np.array(0, np.int32))])
    return take_place(name, writer)


def take_place(name: str, writer: Writer) -> ir.Value:
    """Let the last node of ``writer`` make the value of an initializer, under its name."""
    place, (made,) = writer.place, writer.nodes[-1].outputs
    old = place.graph.initializers[name]
    made.type, made.shape = old.type, old.shape
    for use in list(old.uses()):
        if use.node not in writer.nodes:
            use.node.replace_input_with(use.idx, made)
    place.graph.initializers.pop(name)
    old.name, made.name = None, name
    # What makes constants comes first; each weight before those that were written earlier would
    # part scales from the indices that they are of.
    place.graph.insert_before(place.first_reader(made), writer.nodes)
    return made
