"""Measure what counted work costs on this machine: small convolutions inside small networks.

Each sample is timed as a node of a network of many, by ONNX Runtime's own profile: dense layers
then run in the blocked layout, weights come from where a network's weights come from, and layout
changes are nodes of their own.  Prices are fitted by nonnegative least squares on relative errors.
"""

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from scipy.optimize import nnls

from sparsepass.algorithms import ALGORITHMS, DENSE, Algorithm, Lowering, Packed, Work
from sparsepass.cost import FEATURES, block_of, features, kind
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.passes import LowerConvolutions
from sparsepass.profile import MachineProfile, Rates, Transfer, cpu_name
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.lowering import add_functions, replacement
from sparsepass.runtime.sample_layers import Shape, sample_layers, sample_shapes
from sparsepass.runtime.session import session
from sparsepass.sparsity import ActivationStats, Stats, weight_stats

__all__ = ["Candidate", "Timed", "fit", "measure_profile", "time_candidates"]

Progress = Callable[[int, int], None]

OPSET = 17
# Runs of each network, without those before caches and generated code are warm.
RUNS, WARM_RUNS = 9, 2
# Layers of one network: enough that their weights do not stay in the second-level cache.
NETWORK_LAYERS = 16
# Weights of each shape, with different shares of zeros.
SPARSITIES = 3
# Shares of zeros in the inputs, in turn.
INPUT_ZEROS = (0.3, 0.5, 0.7, 0.9)
# ONNX Runtime's profile counts whole microseconds.
RESOLUTION = 1.0
# Operators that move memory and do little else.
PASSES = ("ReorderInput", "ReorderOutput", "ThresholdedRelu")
# The end of a branch: it reads a tensor and leaves one number.
END = "ReduceMax"
# Operators that ONNX Runtime runs in either layout, at different speeds, and maps to time them on.
OPERATORS = ("GlobalAveragePool", "GlobalMaxPool", "Resize")
OPERATOR_MAPS = ((64, 56), (128, 28), (256, 14), (512, 7), (32, 48), (64, 12))
# A kind of layer with fewer samples gets no prices of its own.
FEWEST_SAMPLES = 6


@dataclass(frozen=True)
class Candidate:
    """One algorithm for one layer, as a node of the name ``node``."""

    node: str
    row: Algorithm
    layer: Layer
    work: Work
    packed: Packed | None
    input_zeros: float


@dataclass(frozen=True)
class Timed:
    """Median microseconds by node, and by operator of ``PASSES`` with the bytes it reads."""

    nodes: Mapping[str, float]
    passes: Mapping[str, Sequence[tuple[float, float]]]


def measure_profile(
    threads: int,
    *,
    progress: Progress = lambda done, total: None,
    command: str = "sparsepass calibrate",
) -> MachineProfile:
    """Measure every algorithm that is left to ONNX Runtime or has an op, with ``threads`` threads.

    It takes about a minute; ``progress`` gets the number of networks done and of all.
    """
    rng = np.random.default_rng(0)
    groups = [list(candidates(index, shape, rng)) for index, shape in enumerate(sample_shapes())]
    # Layers of a network are of similar size: small ones find their data in the caches.
    groups.sort(key=lambda group: group[0].layer.input_size + group[0].layer.output_size)
    batches = [
        [candidate for group in groups[first : first + NETWORK_LAYERS] for candidate in group]
        for first in range(0, len(groups), NETWORK_LAYERS)
    ]
    found: list[tuple[Candidate, float]] = []
    changes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for done, batch in enumerate(batches, start=1):
        timed = time_candidates(batch, threads, rng)
        found += [(c, timed.nodes[c.node]) for c in batch if c.node in timed.nodes]
        for operator, pairs in timed.passes.items():
            changes[operator] += pairs
        progress(done, len(batches) + 1)
    unblocked = time_operators(threads, rng)
    progress(len(batches) + 1, len(batches) + 1)
    rates, errors = fit_all(found)
    return MachineProfile(
        cpu=cpu_name(),
        isa=instruction_set(),
        threads=threads,
        onnxruntime=cast(str, cast(Any, onnxruntime).__version__),
        date=date.today().isoformat(),
        command=command,
        samples=len(found),
        median_error=float(np.median(errors)),
        worst_error=float(np.max(errors)),
        peak_gflops=max(2e-3 * (c.work.macs + c.work.idle_macs) / t for c, t in found),
        to_blocked=fit_transfer(changes["ReorderInput"]),
        from_blocked=fit_transfer(changes["ReorderOutput"]),
        pass_over=fit_transfer([(2 * size, time) for size, time in changes["ThresholdedRelu"]]),
        unblocked=unblocked,
        rates=rates,
    )


def candidates(index: int, shape: Shape, rng: np.random.Generator) -> Iterator[Candidate]:
    """What to time for one shape: the dense layer once, every other algorithm for each weight."""
    zeros = INPUT_ZEROS[index % len(INPUT_ZEROS)]
    for which, layer in enumerate(sample_layers(shape, f"s{index}", rng, SPARSITIES)):
        stats = Stats(weight_stats(layer), random_zeros(zeros))
        for row in ALGORITHMS:
            if row.lowering is Lowering.CONV_CHAIN or row.numerics == "lossy":
                continue
            if row.refuse(layer, stats) or (row is DENSE and which > 0):
                continue
            for number, option in enumerate(row.options(layer, stats)):
                packed = row.pack(layer, stats, option.parameters)
                node = f"{layer.name}.{row.name}.{number}"
                if packed is None or isinstance(packed, Packed):
                    yield Candidate(node, row, layer, option.work, packed, zeros)


def random_zeros(share: float) -> ActivationStats:
    """Statistics of an input whose values are zero independently of each other."""
    kept = 1 - share
    return ActivationStats(
        zeros_mean=share, zeros_p10=share, zeros_p90=share, dead_channels=0.0,
        dense_groups=4 * kept**3 * share + kept**4, empty_groups=share**4, samples=1,
    )  # fmt: skip


def time_candidates(found: Sequence[Candidate], threads: int, rng: np.random.Generator) -> Timed:
    """Run a network of independent branches, one per candidate, and read its profile."""
    feeds: dict[str, Array] = {}
    for layer, zeros in {c.layer.name: (c.layer, c.input_zeros) for c in found}.values():
        # Values below zero become zeros.
        feeds[f"{layer.name}.x"] = rng.random(input_shape(layer), np.float32) - np.float32(zeros)
        if layer.epilogue.residual:
            feeds[f"{layer.name}.r"] = rng.random(output_shape(layer), np.float32)
    return time_nodes(network(found), feeds, threads)


def time_nodes(model: ir.Model, feeds: Mapping[str, Array], threads: int) -> Timed:
    """Run a model a few times and read the times of its nodes."""
    with tempfile.TemporaryDirectory() as folder:
        runner = cast(Any, session(to_bytes(model), threads=threads, profile=Path(folder) / "p"))
        for _ in range(WARM_RUNS + RUNS):
            runner.run(None, feeds)
        return read_profile(json.loads(Path(runner.end_profiling()).read_text(encoding="utf-8")))


def input_shape(layer: Layer) -> tuple[int, ...]:
    return (layer.batch, layer.channels, *layer.input_spatial)


def output_shape(layer: Layer) -> tuple[int, ...]:
    return (layer.batch, layer.filters, *layer.output_spatial)


def network(found: Sequence[Candidate]) -> ir.Model:
    """A model with one branch per candidate, with the ops of those that have one."""
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
    lowered = {
        c.node: replacement(c.layer, c.row, c.packed, OPSET) for c in found if c.packed is not None
    }
    LowerConvolutions(lowered)(model)
    add_functions(model)
    return model


def graph_input(name: str, shape: Sequence[int]) -> ir.Value:
    return ir.val(name, ir.DataType.FLOAT, shape)


def model_of(nodes: Sequence[ir.Node], values: Iterable[ir.Value]) -> ir.Model:
    """A model of ``nodes`` whose inputs and constants are ``values``; its outputs are the maxima."""
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


def branch(candidate: Candidate, shared: Mapping[str, ir.Value], number: int) -> list[ir.Node]:
    """Nodes around one layer: a Relu in NCHW before it, its Relu after it, and an end.

    A residual is a tensor that ONNX Runtime has in its blocked layout.
    """
    layer, name = candidate.layer, candidate.node
    nodes = [relu(shared[f"{layer.name}.x"], f"{name}.first", number)]
    operands = [nodes[0].outputs[0], shared[f"{layer.name}.w"], shared[f"{layer.name}.b"]]
    if layer.op_type == "Gemm":
        nodes.append(ir.node("Gemm", operands, {"transB": 1}, name=name))
    else:
        nodes.append(ir.node("Conv", operands, conv_attributes(layer), name=name))
    if layer.epilogue.residual:
        other = relu(shared[f"{layer.name}.r"], f"{name}.other", number)
        blocked = into_blocked(other.outputs[0], f"{name}.blocked")
        both = [nodes[-1].outputs[0], blocked.outputs[0]]
        nodes = [*nodes[:-1], other, blocked, nodes[-1], ir.node("Add", both, name=f"{name}.add")]
    if layer.epilogue.activation:
        nodes.append(ir.node(layer.epilogue.activation, [nodes[-1].outputs[0]], name=f"{name}.act"))
    return ended(nodes, name)


def conv_attributes(layer: Layer) -> dict[str, int | list[int]]:
    return {
        "kernel_shape": list(layer.kernel),
        "strides": list(layer.strides),
        "pads": list(layer.pads),
        "group": layer.groups,
    }


def relu(value: ir.Value, name: str, number: int) -> ir.Node:
    """A Relu of a threshold of its own, so that ONNX Runtime does not merge it with others."""
    return ir.node("ThresholdedRelu", [value], {"alpha": 1e-6 * number}, name=name)


def into_blocked(value: ir.Value, name: str) -> ir.Node:
    """A node that changes nothing and that ONNX Runtime runs in its blocked layout."""
    return ir.node("MaxPool", [value], {"kernel_shape": [1, 1]}, name=name)


def ended(nodes: Sequence[ir.Node], name: str) -> list[ir.Node]:
    """Name what nodes make, the last one ``name``, and end its life.

    ONNX Runtime calls a blocked convolution by its output.  In a network the memory of a tensor is
    soon used again, and warm.
    """
    end = ir.node(END, [nodes[-1].outputs[0]], {"keepdims": 0}, name=f"{name}.end")
    for node in (*nodes, end):
        node.outputs[0].name = f"{node.name}.y"
    nodes[-1].outputs[0].name = name
    end.outputs[0].dtype = ir.DataType.FLOAT
    return [*nodes, end]


def time_operators(threads: int, rng: np.random.Generator) -> dict[str, Transfer]:
    """What operators take more in NCHW than in the blocked layout, by the bytes they move."""
    shared: dict[str, ir.Value] = {}
    feeds: dict[str, Array] = {}
    nodes: list[ir.Node] = []
    scales = np.array([1, 1, 2, 2], np.float32)
    shared["scales"] = ir.val("scales", const_value=ir.tensor(scales, name="scales"))
    for number, (channels, size) in enumerate(OPERATOR_MAPS):
        name = f"m{number}"
        feeds[name] = rng.random((1, channels, size, size), np.float32)
        shared[name] = graph_input(name, feeds[name].shape)
        for operator in OPERATORS:
            for layout in ("nchw", "blocked"):
                where = f"{name}.{operator}.{layout}"
                chain = [relu(shared[name], f"{where}.first", len(nodes))]
                if layout == "blocked":
                    chain.append(into_blocked(chain[-1].outputs[0], f"{where}.into"))
                operands: list[ir.Value | None] = [chain[-1].outputs[0]]
                attributes: dict[str, str] = {}
                if operator == "Resize":
                    operands += [None, shared["scales"]]
                    attributes = {"mode": "linear"}
                chain.append(ir.node(operator, operands, attributes, name=where))
                nodes += ended(chain, where)
    times = time_nodes(model_of(nodes, shared.values()), feeds, threads).nodes
    return {
        operator: fit_transfer(
            [
                (moved(operator, channels, size), time)
                for number, (channels, size) in enumerate(OPERATOR_MAPS)
                if (time := extra(times, f"m{number}.{operator}")) > 0
            ]
        )
        for operator in OPERATORS
    }


def extra(times: Mapping[str, float], name: str) -> float:
    blocked = times.get(f"{name}.blocked")
    return times[f"{name}.nchw"] - blocked if blocked is not None else 0.0


def moved(operator: str, channels: int, size: int) -> float:
    outputs = 4 * size * size if operator == "Resize" else 1
    return 4.0 * channels * (size * size + outputs)


def read_profile(events: Sequence[Mapping[str, Any]]) -> Timed:
    """Medians over the runs, without the warm ones."""
    times: dict[str, list[float]] = defaultdict(list)
    passes: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], float] = {}
    for event in events:
        if event.get("cat") != "Node":
            continue
        arguments = cast(Mapping[str, Any], event["args"])
        name = cast(str, event["name"]).removesuffix("_kernel_time").removesuffix("_nchwc")
        times[name].append(event["dur"])
        if arguments["op_name"] in PASSES:
            key = (arguments["op_name"], arguments["node_index"])
            passes[key].append(event["dur"])
            sizes[key] = bytes_of(arguments["input_type_shape"])
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, durations in passes.items():
        found[key[0]].append((sizes[key], median(durations)))
    return Timed({name: median(values) for name, values in times.items()}, found)


def median(durations: Sequence[float]) -> float:
    return float(np.median(durations[WARM_RUNS:]))


def bytes_of(shapes: Sequence[Mapping[str, Sequence[int]]]) -> float:
    return 4.0 * math.prod(next(iter(shapes[0].values())))


def fit_all(
    found: Sequence[tuple[Candidate, float]],
) -> tuple[dict[str, dict[str, Rates]], list[float]]:
    """Prices by algorithm and kind, and the errors of all samples."""
    block = block_of(instruction_set())
    by_kind: dict[tuple[str, str], list[tuple[Work, float]]] = defaultdict(list)
    for candidate, time in found:
        key = candidate.row.name, kind(candidate.row, candidate.layer, block)
        by_kind[key].append((candidate.work, time))
    rates: dict[str, dict[str, Rates]] = {}
    errors: list[float] = []
    for (name, which), samples in sorted(by_kind.items()):
        if len(samples) < FEWEST_SAMPLES:
            continue
        prices, off = fit([features(work) for work, _ in samples], [time for _, time in samples])
        rates.setdefault(name, {})[which] = Rates(
            **dict(zip(FEATURES, prices, strict=True)),
            samples=len(samples),
            median_error=float(np.median(off)),
            worst_error=float(np.max(off)),
        )  # fmt: skip
        errors += list(off)
    return rates, errors


def fit(
    counts: Sequence[Sequence[float]], times: Sequence[float]
) -> tuple[list[float], NDArray[np.float64]]:
    """Prices of the columns of ``counts``, and the error of each row as a share of its time.

    Minimises the squares of the relative errors with no price below zero.
    """
    matrix, measured = np.array(counts, np.float64), np.array(times, np.float64)
    # A column of one size with the others keeps the solver exact; an empty one costs nothing.
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-30)
    weights = 1 / (measured + RESOLUTION)
    solution, _ = nnls(matrix / scale * weights[:, None], measured * weights)
    prices = solution / scale
    return [float(p) for p in prices], np.abs(matrix @ prices - measured) / (measured + RESOLUTION)


def fit_transfer(found: Sequence[tuple[float, float]]) -> Transfer:
    """Price of a pass over memory by its bytes; free where none was seen."""
    if not found:
        return Transfer(fixed=0.0, bytes=0.0)
    prices, _ = fit([(1.0, size / 1e6) for size, _ in found], [time for _, time in found])
    return Transfer(fixed=prices[0], bytes=prices[1])
