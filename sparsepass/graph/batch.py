"""Whether a network treats the images of a batch apart, so that it can take a few at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from sparsepass.errors import UsageError
from sparsepass.graph.batch_rules import MANY_OUTPUTS, RANDOM, RULES, Call
from sparsepass.graph.values import bodies
from sparsepass.shapes import concrete_shapes

__all__ = ["Batch", "batch_of", "nodes_before"]

Dims = tuple[int, ...]

OLDEST_SCAN_OPSET = 9
CONSTANT = "it is the same for all images"


@dataclass(frozen=True)
class Batch:
    """The images on axis 0 of every input: ``size`` of them, or None where the batch is open.

    ``shapes`` are those of the values of the main graph, with one image where the batch is open.
    ``images`` names the values that have the images on axis 0, each made of the same image of the
    inputs alone; ``reasons`` say of other values why they may not.  ``literals`` are outputs of
    Reshapes whose target names the batch, and may hold 0 instead.
    """

    size: int | None
    shapes: Mapping[str, Dims]
    images: frozenset[str]
    reasons: Mapping[str, str]
    literals: frozenset[str]

    def refuse(self, micro_batch: int, values: Sequence[str]) -> str | None:
        """Why ``values`` cannot be computed for ``micro_batch`` images at a time, or None."""
        if self.size is None and micro_batch != 1:
            return "the batch is open, and only single images divide every batch"
        if self.size is not None and (self.size % micro_batch or self.size <= micro_batch):
            return f"a batch of {self.size} is not several groups of {micro_batch}"
        return next((self.reasons.get(v, CONSTANT) for v in values if v not in self.images), None)


def batch_of(model: ir.Model) -> Batch | str:
    """Follow the images of the inputs through the main graph, or say why that cannot be done.

    Ask before layers are lowered: ops that take their place keep images apart as they did.
    """
    opset = model.opset_imports.get("", 0)
    if opset < OLDEST_SCAN_OPSET:
        return f"opset {opset}: a loop over images needs {OLDEST_SCAN_OPSET}"
    size = batch_size(model.graph)
    if isinstance(size, str):
        return size
    try:
        shapes = concrete_shapes(model)
    except UsageError:
        return "an input has open sizes besides the batch"
    if any(0 in dims for dims in shapes.values()):
        return "an axis is empty"
    batched: set[ir.Value | None] = set(model.graph.inputs)
    reasons: dict[str, str] = {}
    literals: list[ir.Value] = []
    for node in model.graph:
        call = Call(node, shapes, batched, opset, size, literals)
        known = [reasons[v.name or ""] for v in node.inputs if v is not None and v.name in reasons]
        reason = known[0] if known else reason_of(call)
        if reason is not None:
            reasons |= {value.name or "": reason for value in node.outputs}
        elif any(value in batched for value in node.inputs):
            batched.update(node.outputs)
    images, named = (frozenset(v.name or "" for v in vs if v) for vs in (batched, literals))
    return Batch(size, shapes, images, reasons, named)


def batch_size(graph: ir.Graph) -> int | str | None:
    """The size of axis 0 of all inputs, None where it is open, or the reason why there is none."""
    sizes: list[int | str | None] = []
    for value in graph.inputs:
        if value.name in graph.initializers:
            return f"callers may change {value.name}, which is no image"
        if not value.shape:
            return f"input {value.name} has no axis for the batch"
        first = value.shape[0]
        sizes.append(first if isinstance(first, int) else first.value)
    if not sizes:
        return "there is no input"
    if len(sizes) > 1 and (len(set(sizes)) > 1 or sizes[0] is None):
        return "the inputs may have different batches"
    return sizes[0] if isinstance(sizes[0], int) else None


def reason_of(call: Call) -> str | None:
    """Why the outputs of a node may mix images, or None where they do not, or are constant."""
    node = call.node
    if bodies(node):
        reason = "control flow"
    elif node.op_type in RANDOM:
        reason = "random numbers"
    elif not any(value in call.batched for value in node.inputs):
        return None
    else:
        reason = refuse(call)
    return reason and f"{node.op_type} {node.name}: {reason}"


def refuse(call: Call) -> str | None:
    """Why a node that reads images may mix them, or None."""
    node = call.node
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        return "it may mix images"
    if any(v is not None and v.name not in call.shapes for v in (*node.inputs, *node.outputs[:1])):
        return "sizes that are known at run time only"
    if node.op_type not in MANY_OUTPUTS and any(
        value.uses() or value.is_graph_output() for value in node.outputs[1:]
    ):
        return "an output besides the first"
    return rule(call)


def nodes_before(graph: ir.Graph, value: ir.Value) -> tuple[ir.Node, ...] | None:
    """The nodes that ``value`` is made by, in order, where nothing else of theirs is needed later.

    None where another of their outputs is read by other nodes, or is an output of the graph.
    """
    found: set[ir.Node] = set()
    ahead = [value.producer()]
    while ahead:
        node = ahead.pop()
        if node is None or node in found:
            continue
        found.add(node)
        ahead += [source.producer() for source in node.inputs if source is not None]
    handed_on = {
        output
        for node in found
        for output in node.outputs
        if output.is_graph_output() or any(use.node not in found for use in output.uses())
    }
    return tuple(node for node in graph if node in found) if handed_on == {value} else None
