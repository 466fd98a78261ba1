"""Remove channels that carry nothing, through the graph, without loss.

A filter of zeros makes a channel that is constant: act(bias).  A channel that every later weight
multiplies by zero is never read.  Both can go: the weights shrink on both sides, and what a
constant channel adds to the next convolution moves into that one's bias.  With padding the border
differs from the middle, so there only a constant of zero is moved.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.graph import clip_bounds, constant_array, is_standard
from sparsepass.layer import Array
from sparsepass.passes.initializers import Names, new_initializer
from sparsepass.shapes import open_shapes

__all__ = ["CompactChannels"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

# Channel counts keep the largest of these that divides them: ONNX Runtime works on blocks of
# channels, and a count that does not fill them may cost more than the removed channels.
BLOCKS = (16, 8, 4, 1)
UNARY = ("Relu", "Clip", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity")


@dataclass(frozen=True)
class CompactChannels(ir.passes.InPlacePass):
    """Drop constant and unread channels between convolutions."""

    name: ClassVar[str] = "compact-channels"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Drop them until nothing changes: a channel less may leave others without a reader."""
        channels = {
            name: int(shape.dims[1])
            for name, shape in open_shapes(model).items()
            if len(shape) > 1 and isinstance(shape.dims[1], int)
        }
        modified, names = False, Names(model.graph)
        while sweep(model.graph, channels, names):
            modified = True
        return ir.passes.PassResult(model, modified=modified)


@dataclass(frozen=True)
class Visit:
    """A node that the channels of a producer reach.

    ``offset`` is where they begin among the channels that ``node`` reads; ``known`` is the value
    that each has there, NaN where it varies.
    """

    node: ir.Node
    offset: int
    known: Floats


def sweep(graph: ir.Graph, channels: dict[str, int], names: Names) -> bool:
    changed = False
    for node in reversed(graph):
        changed |= compact(graph, node, channels, names)
    return changed


def compact(graph: ir.Graph, producer: ir.Node, channels: dict[str, int], names: Names) -> bool:
    """Drop what can go of the channels that ``producer`` makes; tell whether any went."""
    parameters = parameters_of(producer)
    if parameters is None or groups_of(producer) != 1:
        return False
    weight, bias = parameters
    is_zero = ~weight.reshape(len(weight), -1).any(axis=1)
    known = np.where(is_zero, bias.astype(np.float64), np.nan)
    visits = visits_of(graph, producer.outputs[0], 0, known, channels)
    if visits is None:
        return False
    gone = surplus(removable(visits, len(weight)))
    if not gone.size:
        return False
    logger.info("%s: %d of %d channels removed", producer.name, gone.size, len(weight))
    set_parameters(graph, producer, np.delete(weight, gone, 0), np.delete(bias, gone), names)
    drop_along(graph, visits, gone, names)
    for value in (producer.outputs[0], *(v.node.outputs[0] for v in visits if not ends(v.node))):
        shrink(value, gone.size, channels)
    return True


# --- where channels go ---------------------------------------------------------------------------


def visits_of(
    graph: ir.Graph, value: ir.Value, offset: int, known: Floats, channels: dict[str, int]
) -> list[Visit] | None:
    """Return every node that the channels in ``value`` reach, or None where one needs them all."""
    found: list[Visit] = []
    waiting = [(value, offset, known)]
    while waiting:
        value, offset, known = waiting.pop()
        if value.is_graph_output():
            return None
        for node, index in value.uses():
            visit = visit_of(graph, node, index, offset, known, channels)
            if visit is None:
                return None
            found.append(visit)
            if index == 0 and ends(node):
                continue
            after = passed(node, index, visit.offset, known)
            if after is None:
                return None
            waiting.append((node.outputs[0], visit.offset, after))
    return found


def visit_of(
    graph: ir.Graph,
    node: ir.Node,
    index: int,
    offset: int,
    known: Floats,
    channels: dict[str, int],
) -> Visit | None:
    """Return how channels reach ``node`` by its input ``index``, None where that is not known."""
    if node.graph is not graph or any(output.uses() for output in node.outputs[1:]):
        return None
    if not is_standard(node, "Concat"):
        return Visit(node, offset, known)
    before = concat_offset(node, index, channels)
    return None if before is None else Visit(node, offset + before, known)


def concat_offset(node: ir.Node, index: int, channels: dict[str, int]) -> int | None:
    """Return how many channels a Concat puts before its input ``index``, None where unknown."""
    before = [channels.get(value.name or "") if value else None for value in node.inputs[:index]]
    known = [count for count in before if count is not None]
    if node.attributes.get_int("axis", 0) != 1 or len(known) < index:
        return None
    return sum(known)


def passed(node: ir.Node, index: int, offset: int, known: Floats) -> Floats | None:
    """Return the values of the channels after ``node``, None where it mixes channels."""
    if is_standard(node, "Concat"):
        return known
    if index != 0:
        return None
    if is_standard(node, *UNARY):
        return after_unary(node, known)
    parameters = parameters_of(node)
    if parameters is None or not is_depthwise(node):
        return None
    weight, bias = (array[offset : offset + len(known)] for array in parameters)
    total = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.float64)
    inside = np.where((known == 0) | (not is_padded(node)), known * total + bias, np.nan)
    return np.where(weight.reshape(len(weight), -1).any(axis=1), inside, bias.astype(np.float64))


def after_unary(node: ir.Node, known: Floats) -> Floats | None:
    if node.op_type == "Relu":
        return np.maximum(known, 0)
    if node.op_type == "LeakyRelu":
        return np.where(known < 0, known * node.attributes.get_float("alpha", 0.01), known)
    if node.op_type == "Clip":
        bounds = clip_bounds(node)
        return None if bounds is None else np.clip(known, *bounds)
    if node.op_type == "AveragePool" and is_padded(node):
        return np.where(known == 0, known, np.nan)
    return known


# --- what can go ---------------------------------------------------------------------------------


def removable(visits: Iterable[Visit], count: int) -> NDArray[np.bool_]:
    """Tell for each of ``count`` channels whether no convolution at the end would miss it."""
    last = [visit for visit in visits if ends(visit.node)]
    free = np.full(count, bool(last))
    for visit in last:
        columns = columns_of(visit)
        unread = ~columns.any(axis=(0, *range(2, columns.ndim)))
        movable = (visit.known == 0) | (np.isfinite(visit.known) & (not is_padded(visit.node)))
        free &= unread | movable
    return free


def surplus(free: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the channels to drop so that the rest still fills the blocks that all of them fill."""
    block = next(size for size in BLOCKS if len(free) % size == 0)
    kept = max(-(-np.count_nonzero(~free) // block), 1) * block
    return np.flatnonzero(free)[: len(free) - kept]


# --- convolutions --------------------------------------------------------------------------------


def parameters_of(node: ir.Node) -> tuple[Array, Array] | None:
    """Return weight and bias of a Conv where both are float32 constants, zeros for no bias."""
    if not is_standard(node, "Conv"):
        return None
    weight = constant_array(node.inputs[1])
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if weight is None or weight.dtype != np.float32 or weight.ndim < 3:
        return None
    bias = constant_array(node.inputs[2]) if has_bias else np.zeros(len(weight), np.float32)
    return None if bias is None or bias.shape != (len(weight),) else (weight, bias)


def groups_of(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1)


def ends(node: ir.Node) -> bool:
    """Tell whether ``node`` is a convolution that sums over all channels."""
    return parameters_of(node) is not None and groups_of(node) == 1


def is_depthwise(node: ir.Node) -> bool:
    parameters = parameters_of(node)
    return parameters is not None and parameters[0].shape[:2] == (groups_of(node), 1)


def is_padded(node: ir.Node) -> bool:
    """Tell whether ``node`` may read past the border of its input."""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    rounds_up = bool(node.attributes.get_int("ceil_mode", 0))
    return mode.startswith("SAME") or any(node.attributes.get_ints("pads", ())) or rounds_up


def columns_of(visit: Visit) -> Array:
    """Return the part of a convolution's weight that reads the visiting channels."""
    parameters = parameters_of(visit.node)
    assert parameters is not None
    return parameters[0][:, visit.offset : visit.offset + len(visit.known)]


# --- rewriting -----------------------------------------------------------------------------------


def drop_along(graph: ir.Graph, visits: list[Visit], gone: NDArray[np.intp], names: Names) -> None:
    """Take the channels ``gone`` out of every convolution they reach."""
    for node in dict.fromkeys(visit.node for visit in visits):
        parameters = parameters_of(node)
        if parameters is None:
            continue
        here = [visit for visit in visits if visit.node is node]
        indices = np.concatenate([visit.offset + gone for visit in here])
        weight, bias = parameters
        if ends(node):
            bias = (bias + sum(moved(visit, gone) for visit in here)).astype(np.float32)
            set_parameters(graph, node, np.delete(weight, indices, 1), bias, names)
            continue
        kept = np.delete(weight, indices, 0), np.delete(bias, indices)
        set_parameters(graph, node, *kept, names)
        node.attributes["group"] = ir.AttrInt64("group", groups_of(node) - len(indices))


def moved(visit: Visit, gone: NDArray[np.intp]) -> Floats:
    """Return what the channels ``gone`` add to each output of the convolution they end in."""
    columns = columns_of(visit)[:, gone]
    sums = columns.reshape(*columns.shape[:2], -1).sum(axis=2, dtype=np.float64)
    # A channel that varies is only dropped where its columns are zero.
    return sums @ np.nan_to_num(visit.known[gone], posinf=0.0, neginf=0.0)


def set_parameters(
    graph: ir.Graph, node: ir.Node, weight: Array, bias: Array, names: Names
) -> None:
    stem = node.outputs[0].name
    node.resize_inputs(3)
    for index, kind, array in ((1, "weight", weight), (2, "bias", bias)):
        own = new_initializer(graph, f"{stem}.compact.{kind}", array, names)
        node.replace_input_with(index, own)


def shrink(value: ir.Value, count: int, channels: dict[str, int]) -> None:
    """Record that ``value`` has ``count`` channels less."""
    if value.name in channels:
        channels[value.name] -= count
    if value.shape is not None:
        dims: list[Any] = list(value.shape)
        dims[1] = channels.get(value.name or "")
        value.shape = ir.Shape(dims)
