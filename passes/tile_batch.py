"""Take a batch through a network a few images at a time (depth first).

Op by op, the feature maps of a whole batch are written to memory and read back between operators.
Here a batch (N, ...) becomes (N / m, m, ...), and a Scan takes the network along the first axis:
what one operator makes of m images is still in the caches when the next one reads it.  The idea is
that of Lym et al., Mini-batch serialization: CNN training with inter-layer data reuse (MLSys 2019).

Constants move into the body of the Scan with the nodes that read them: only there does ONNX Runtime
fold functions and pack the weights of convolutions.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from sparsepass.graph import Batch, constant_array, nodes_before
from sparsepass.passes.initializers import Names, new_initializer

__all__ = ["BODY", "TileBatch"]

# The name of the body's graph: what ``UntileBatch`` knows it by.
BODY = "ai.sparsepass.tile"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TileBatch(ir.passes.InPlacePass):
    """Run the main graph on ``micro_batch`` images at a time; names of inputs and outputs stay.

    ``batch`` is what ``graph.batch_of`` found in the network, before its layers were lowered.  With
    ``until`` only the nodes that make the value of this name are run so, and the others on the
    whole batch.  Where that is impossible the model is left as it is, see ``refuse``.  An open
    batch stays open, but ONNX Runtime takes no loop over an empty one.
    """

    batch: Batch
    micro_batch: int
    until: str | None = None
    name: ClassVar[str] = "tile-batch"

    def refuse(self, model: ir.Model) -> str | None:
        """Why ``model`` cannot be run so, or None."""
        found = self.match(model.graph)
        return found if isinstance(found, str) else None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Move nodes into the body of a Scan."""
        found = self.match(model.graph)
        if isinstance(found, str):
            logger.info("%s kept: %s", model.graph.name, found)
            return ir.passes.PassResult(model, modified=False)
        rewrite(model.graph, found, self.batch, self.micro_batch)
        return ir.passes.PassResult(model, modified=True)

    def match(self, graph: ir.Graph) -> "Match | str":
        """Return what moves into the body, or the reason why nothing can."""
        if self.until is None:
            nodes, outputs = tuple(graph), tuple(graph.outputs)
        else:
            made = [v for node in graph for v in node.outputs if v.name == self.until]
            before = nodes_before(graph, made[0]) if made else None
            if before is None:
                return f"{self.until!r} is not all that connects two parts of the network"
            nodes, outputs = before, (made[0],)
        if any(value.producer() is None for value in outputs):
            return "an output is an input"
        names = [value.name or "" for value in outputs]
        return self.batch.refuse(self.micro_batch, names) or Match(nodes, outputs)


@dataclass(frozen=True)
class Match:
    """The nodes that move into the body, in order, and the values that they hand on."""

    nodes: tuple[ir.Node, ...]
    outputs: tuple[ir.Value, ...]


def rewrite(graph: ir.Graph, found: Match, batch: Batch, micro_batch: int) -> None:
    moved, names = set(found.nodes), Names(graph)
    images = {name: dims[1:] for name, dims in batch.shapes.items()}
    for node in found.nodes:
        if node.outputs[0].name in batch.literals:
            forget_batch(graph, node, names)
    sources = [value for value in graph.inputs if any(use.node in moved for use in value.uses())]
    split = [
        reshape(
            graph, value, (-1, micro_batch, *images[value.name or ""]), f"{value.name}.tiles", names
        )
        for value in sources
    ]
    slices = [
        ir.Value(
            name=names.free(f"{value.name}.tile"),
            type=value.type,
            shape=ir.Shape((micro_batch, *images[value.name or ""])),
        )
        for value in sources
    ]
    read_instead(sources, slices, moved)
    constants = take_constants(graph, moved, names)
    scan = ir.node(
        "Scan",
        [node.outputs[0] for node in split],
        num_outputs=len(found.outputs),
        name=names.free("tiles"),
    )
    for value, stacked in zip(found.outputs, scan.outputs, strict=True):
        stacked.name, stacked.type = names.free(f"{value.name}.tiles"), value.type
    joined = [
        reshape(graph, stacked, (-1, *images[value.name or ""]), f"{value.name}.joined", names)
        for value, stacked in zip(found.outputs, scan.outputs, strict=True)
    ]
    hand_on(graph, found.outputs, [node.outputs[0] for node in joined], moved, names)
    graph.remove(found.nodes)
    for value in (output for node in found.nodes for output in node.outputs):
        # It was the shape of the whole batch; ONNX Runtime infers that of a group.
        value.shape = None
    body = ir.Graph(slices, found.outputs, nodes=found.nodes, initializers=constants, name=BODY)
    scan.attributes.add(ir.AttrGraph("body", body))
    scan.attributes.add(ir.AttrInt64("num_scan_inputs", len(slices)))
    first = next(iter(graph), None)
    if first is None:
        graph.extend([*split, scan, *joined])
    else:
        graph.insert_before(first, [*split, scan, *joined])


def hand_on(
    graph: ir.Graph,
    values: Sequence[ir.Value],
    replacements: Sequence[ir.Value],
    moved: Collection[ir.Node],
    names: Names,
) -> None:
    """Let nodes that stay, and callers, see ``replacements`` under the names of ``values``."""
    for value, replacement in zip(values, replacements, strict=True):
        later = {use.node for use in value.uses()} - set(moved)
        read_instead([value], [replacement], later)
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = replacement
        inner = names.free(f"{value.name}.tile")
        replacement.name, replacement.shape = value.name, value.shape
        value.name = inner


def forget_batch(graph: ir.Graph, node: ir.Node, names: Names) -> None:
    """Let a Reshape take axis 0 from its input, where it names its size."""
    target = constant_array(node.inputs[1])
    assert target is not None, node.name
    sizes = np.concatenate([[0], target[1:]]).astype(np.int64)
    own = new_initializer(graph, f"{node.outputs[0].name}.shape", sizes, names)
    node.replace_input_with(1, own)


def reshape(
    graph: ir.Graph, value: ir.Value, sizes: Sequence[int], name: str, names: Names
) -> ir.Node:
    name = names.free(name)
    target = new_initializer(graph, f"{name}.shape", np.array(sizes, np.int64), names)
    node = ir.node("Reshape", [value, target], name=name)
    node.outputs[0].name, node.outputs[0].type = name, value.type
    return node


def read_instead(
    values: Sequence[ir.Value], replacements: Sequence[ir.Value], nodes: Collection[ir.Node]
) -> None:
    """Let ``nodes`` read ``replacements`` where they read ``values``."""
    for value, replacement in zip(values, replacements, strict=True):
        for use in list(value.uses()):
            if use.node in nodes:
                use.node.replace_input_with(use.idx, replacement)


def take_constants(graph: ir.Graph, moved: Collection[ir.Node], names: Names) -> list[ir.Value]:
    """The constants of the body; those that nodes outside read as well are copied."""
    taken: list[ir.Value] = []
    for name, value in list(graph.initializers.items()):
        inside = [use.node in moved for use in value.uses()]
        if not any(inside):
            continue
        own = value
        if not all(inside) and value.const_value is not None:
            own = new_initializer(graph, f"{name}.tile", value.const_value.numpy(), names)
            read_instead([value], [own], moved)
        taken.append(graph.initializers.pop(own.name or ""))
    return taken
