"""Networks of independent branches, one per layer to time, and what ONNX Runtime's profile says.

Dense layers run in the blocked layout there, weights come from where a network's weights come from,
and layout changes are nodes of their own.
"""

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from sparsepass.algorithms import Algorithm, Packed, Work
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import runner
from sparsepass.passes import LowerConvolutions
from sparsepass.runtime.profiling import NodeRun, end_profile
from sparsepass.runtime.replacements import add_functions, replacement
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import low

__all__ = [
    "SampleNode",
    "Timed",
    "ended",
    "graph_input",
    "into_blocked",
    "low_times",
    "model_of",
    "relu",
    "time_nodes",
    "time_sample_nodes",
]

OPSET = 17
# Runs of each network, without those before caches and generated code are warm.
FEWEST_RUNS, MOST_RUNS, WARM_RUNS = 9, 60, 2
# Operators that move memory and do little else.
PASSES = ("ReorderInput", "ReorderOutput", "ThresholdedRelu")
# The end of a branch: it reads a tensor and leaves one number.
END = "ReduceMax"


@dataclass(frozen=True)
class SampleNode:
    """One algorithm for one layer, timed as a node of the name ``node``."""

    node: str
    row: Algorithm
    layer: Layer
    work: Work
    packed: Packed | None
    input_zeros: float


@dataclass(frozen=True)
class Timed:
    """Low microseconds by node, and by operator of ``PASSES`` with the bytes it reads."""

    nodes: Mapping[str, float]
    passes: Mapping[str, Sequence[tuple[float, float]]]


def time_sample_nodes(
    found: Sequence[SampleNode],
    threads: int,
    rng: np.random.Generator,
    isa: str | None = None,
    seconds: float = 0.0,
) -> Timed:
    """Run a network of independent branches, one per sample, and read its profile.

    ``isa`` is the instruction set of our kernels, see ``session``; for ``seconds`` see
    ``time_nodes``.
    """
    feeds: dict[str, Array] = {}
    for layer, zeros in {c.layer.name: (c.layer, c.input_zeros) for c in found}.values():
        # Values below zero become zeros.
        feeds[f"{layer.name}.x"] = rng.random(input_shape(layer), np.float32) - np.float32(zeros)
        if layer.epilogue.residual:
            feeds[f"{layer.name}.r"] = rng.random(output_shape(layer), np.float32)
    return time_nodes(network(found), feeds, threads, isa, seconds)


def time_nodes(
    model: ir.Model,
    feeds: Mapping[str, Array],
    threads: int,
    isa: str | None = None,
    seconds: float = 0.0,
) -> Timed:
    """Run a model for about ``seconds``, a few times at least, and read the times of its nodes.

    In seconds, so that not all runs of a small model meet the same burst of a neighbour's.
    """
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile")
        opened = session(to_bytes(model), threads=threads, profile=profile, isa=isa)
        run = runner(opened)
        for _ in range(WARM_RUNS):
            run(feeds)
        ends = time.perf_counter() + seconds
        for done in range(MOST_RUNS):
            if done >= FEWEST_RUNS and time.perf_counter() >= ends:
                break
            run(feeds)
        return low_times(end_profile(opened))


def input_shape(layer: Layer) -> tuple[int, ...]:
    return (layer.batch, layer.channels, *layer.input_spatial)


def output_shape(layer: Layer) -> tuple[int, ...]:
    return (layer.batch, layer.filters, *layer.output_spatial)


def network(found: Sequence[SampleNode]) -> ir.Model:
    """A model with one branch per sample, with the ops of those that have one."""
    shared: dict[str, ir.Value] = {}
    for layer in {c.layer.name: c.layer for c in found}.values():
        shared[f"{layer.name}.x"] = graph_input(f"{layer.name}.x", input_shape(layer))
        if layer.epilogue.residual:
            shared[f"{layer.name}.r"] = graph_input(f"{layer.name}.r", output_shape(layer))
        for name, array in ((f"{layer.name}.w", layer.weight), (f"{layer.name}.b", layer.bias)):
            shared[name] = ir.val(name, const_value=ir.tensor(array, name=name))
    model = model_of(
        [n for i, c in enumerate(found) for n in branch(c, shared, i)], shared.values()
    )
    replacements = {
        c.node: replacement(c.layer, c.row, c.packed, OPSET) for c in found if c.packed is not None
    }
    LowerConvolutions(replacements)(model)
    add_functions(model)
    return model


def graph_input(name: str, shape: Sequence[int]) -> ir.Value:
    """A float input of a model."""
    return ir.val(name, ir.DataType.FLOAT, shape)


def model_of(nodes: Sequence[ir.Node], values: Iterable[ir.Value]) -> ir.Model:
    """A model of ``nodes`` with inputs and constants ``values``; its outputs end the branches."""
    listed = list(values)
    graph = ir.Graph(
        [value for value in listed if value.const_value is None],
        [node.outputs[0] for node in nodes if node.op_type == END],
        nodes=nodes,
        initializers=[value for value in listed if value.const_value is not None],
        opset_imports={"": OPSET},
        name="samples",
    )
    return ir.Model(graph, ir_version=9)


def branch(sample: SampleNode, shared: Mapping[str, ir.Value], number: int) -> list[ir.Node]:
    """Nodes around one layer: a Relu in NCHW before it, its Relu after it, and an end.

    A residual is a tensor that ONNX Runtime has in its blocked layout.
    """
    layer, name = sample.layer, sample.node
    nodes = [relu(shared[f"{layer.name}.x"], f"{name}.first", number)]
    operands = [nodes[0].outputs[0], shared[f"{layer.name}.w"], shared[f"{layer.name}.b"]]
    if layer.op_type == "Gemm":
        nodes.append(ir.node("Gemm", operands, {"transB": 1}, name=name))
        return ended(nodes, nodes[-1])
    conv = ir.node("Conv", operands, conv_attributes(layer), name=name)
    if layer.epilogue.residual:
        other = relu(shared[f"{layer.name}.r"], f"{name}.other", number)
        blocked = into_blocked(other.outputs[0], f"{name}.blocked")
        both = [conv.outputs[0], blocked.outputs[0]]
        nodes += [other, blocked, conv, ir.node("Add", both, name=f"{name}.add")]
    else:
        nodes.append(conv)
    nodes.append(ir.node("Relu", [nodes[-1].outputs[0]], name=f"{name}.act"))
    # The Relu is fused into a blocked convolution before that gets its name, an Add after.
    return ended(nodes, conv if layer.epilogue.residual else nodes[-1], name)


def conv_attributes(layer: Layer) -> dict[str, int | list[int]]:
    return {
        "kernel_shape": list(layer.kernel),
        "strides": list(layer.strides),
        "dilations": list(layer.dilations),
        "pads": list(layer.pads),
        "group": layer.groups,
    }


def relu(value: ir.Value, name: str, number: int) -> ir.Node:
    """A Relu of a threshold of its own, so that ONNX Runtime does not merge it with others."""
    return ir.node("ThresholdedRelu", [value], {"alpha": 1e-6 * number}, name=name)


def into_blocked(value: ir.Value, name: str) -> ir.Node:
    """A node that changes nothing and that ONNX Runtime runs in its blocked layout."""
    return ir.node("MaxPool", [value], {"kernel_shape": [1, 1]}, name=name)


def ended(nodes: Sequence[ir.Node], named: ir.Node, name: str = "") -> list[ir.Node]:
    """Name what nodes make, the output of ``named`` like the branch, and end the branch.

    ONNX Runtime calls a blocked node by its output.  In a network the memory of a tensor is soon
    used again, and warm: so no branch leaves a tensor behind.
    """
    end = ir.node(END, [nodes[-1].outputs[0]], {"keepdims": 0}, name=f"{nodes[-1].name}.end")
    for node in (*nodes, end):
        node.outputs[0].name = f"{node.name}.y"
    named.outputs[0].name = name or named.name
    end.outputs[0].dtype = ir.DataType.FLOAT
    return [*nodes, end]


def low_times(runs: Iterable[NodeRun]) -> Timed:
    """The lowest tenth of the runs of each node reaches up to its time, without the warm ones."""
    times: dict[str, list[float]] = defaultdict(list)
    passes: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], float] = {}
    for run in runs:
        times[run.node].append(run.microseconds)
        if run.arguments["op_name"] in PASSES:
            key = (run.arguments["op_name"], run.arguments["node_index"])
            passes[key].append(run.microseconds)
            sizes[key] = bytes_of(run.arguments["input_type_shape"])
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, durations in passes.items():
        found[key[0]].append((sizes[key], low(durations[WARM_RUNS:])))
    return Timed({name: low(values[WARM_RUNS:]) for name, values in times.items()}, found)


def bytes_of(shapes: Sequence[Mapping[str, Sequence[int]]]) -> float:
    return 4.0 * math.prod(next(iter(shapes[0].values())))
