"""Measure what counted work costs on this machine: small convolutions inside small networks.

Each sample is timed as a node of a network of many, by ONNX Runtime's own profile: dense layers then
run in the blocked layout, weights come from where a network's weights come from, and layout changes are
nodes of their own.  Prices are fitted by nonnegative least squares on the relative error.
"""

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from sparsepass.runtime.sample_layers import sample_layers, sample_shapes
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
# A kind of layer with fewer samples gets no prices of its own.
FEWEST_SAMPLES = 6
BIG_COPY = 64 << 20


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
    """Median microseconds of each candidate's node, and of layout changes by their bytes."""

    nodes: Mapping[str, float]
    to_blocked: tuple[tuple[float, float], ...]
    from_blocked: tuple[tuple[float, float], ...]
    pass_over: tuple[tuple[float, float], ...]


def measure_profile(
    threads: int,
    *,
    progress: Progress = lambda done, total: None,
    command: str = "sparsepass calibrate",
) -> MachineProfile:
    """Measure every algorithm that is left to ONNX Runtime or has an op, with ``threads`` threads.

    It takes a minute or two; ``progress`` gets the number of layers done and of all.
    """
    rng = np.random.default_rng(0)
    groups = [list(candidates(index, rng)) for index in range(len(list(sample_shapes())))]
    # Long and short layers of all kinds meet in each network.
    order = [groups[i] for i in rng.permutation(len(groups))]
    found: list[tuple[Candidate, float]] = []
    changes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for first in range(0, len(order), NETWORK_LAYERS):
        batch = [c for group in order[first : first + NETWORK_LAYERS] for c in group]
        timed = time_candidates(batch, threads, rng)
        found += [(c, timed.nodes[c.node]) for c in batch if c.node in timed.nodes]
        for name in ("to_blocked", "from_blocked", "pass_over"):
            changes[name] += getattr(timed, name)
        progress(min(first + NETWORK_LAYERS, len(order)), len(order))
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
        to_blocked=fit_transfer(changes["to_blocked"]),
        from_blocked=fit_transfer(changes["from_blocked"]),
        pass_over=fit_transfer(changes["pass_over"]),
        rates=rates,
    )


def candidates(index: int, rng: np.random.Generator) -> Iterator[Candidate]:
    """What to time for one shape: the dense layer once, every other algorithm for each weight."""
    shape = list(sample_shapes())[index]
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
    model = network(found)
    feeds = {f"{c.layer.name}.x": random_input(c.layer, c.input_zeros, rng) for c in found}
    with tempfile.TemporaryDirectory() as folder:
        runner = cast(Any, session(to_bytes(model), threads=threads, profile=Path(folder) / "p"))
        for _ in range(WARM_RUNS + RUNS):
            runner.run(None, feeds)
        events = json.loads(Path(runner.end_profiling()).read_text(encoding="utf-8"))
    return read_profile(events)


def random_input(layer: Layer, zeros: float, rng: np.random.Generator) -> Array:
    """Values below zero, which a Relu makes zeros, and above."""
    shape = (layer.batch, layer.channels, *layer.input_spatial)
    return rng.random(shape, np.float32) - np.float32(zeros)


def network(found: Sequence[Candidate]) -> ir.Model:
    """A model with one branch per candidate: a Relu in NCHW, the layer, its Relu."""
    inputs: dict[str, ir.Value] = {}
    weights: dict[str, ir.Value] = {}
    nodes: list[ir.Node] = []
    for number, candidate in enumerate(found):
        layer = candidate.layer
        shape = (layer.batch, layer.channels, *layer.input_spatial)
        x = inputs.setdefault(layer.name, ir.val(f"{layer.name}.x", ir.DataType.FLOAT, shape))
        for part, array in (("w", layer.weight), ("b", layer.bias)):
            name = f"{layer.name}.{part}"
            weights.setdefault(name, ir.val(name, const_value=ir.tensor(array, name=name)))
        nodes += branch(candidate, x, weights, number)
    graph = ir.Graph(
        list(inputs.values()), [n.outputs[0] for n in nodes if n.op_type == "ReduceMax"], nodes=nodes,
        initializers=list(weights.values()), opset_imports={"": OPSET}, name="samples",
    )  # fmt: skip
    model = ir.Model(graph, ir_version=9)
    LowerConvolutions(
        {
            c.node: replacement(c.layer, c.row, c.packed, OPSET)
            for c in found
            if c.packed is not None
        }
    )(model)
    add_functions(model)
    return model


def branch(
    candidate: Candidate, x: ir.Value, weights: Mapping[str, ir.Value], number: int
) -> list[ir.Node]:
    layer, name = candidate.layer, candidate.node
    # Thresholds differ, so that ONNX Runtime does not merge the branches' first nodes.
    first = ir.node("ThresholdedRelu", [x], {"alpha": 1e-6 * number}, name=f"{name}.first")
    operands = [first.outputs[0], weights[f"{layer.name}.w"], weights[f"{layer.name}.b"]]
    if layer.op_type == "Gemm":
        nodes = [first, ir.node("Gemm", operands, {"transB": 1}, name=name)]
    else:
        attributes: dict[str, int | list[int]] = {
            "kernel_shape": list(layer.kernel), "strides": list(layer.strides),
            "pads": list(layer.pads), "group": layer.groups,
        }  # fmt: skip
        conv = ir.node("Conv", operands, attributes, name=name)
        nodes = [first, conv, ir.node("Relu", [conv.outputs[0]], name=f"{name}.relu")]
    # Ends the life of the output: in a network its memory is used again, and warm.
    last = ir.node("ReduceMax", [nodes[-1].outputs[0]], {"keepdims": 0}, name=f"{name}.last")
    for node in (*nodes, last):
        node.outputs[0].name = f"{node.name}.y"
    # ONNX Runtime names a blocked convolution after its output.
    nodes[-1].outputs[0].name = name
    last.outputs[0].dtype = ir.DataType.FLOAT
    return [*nodes, last]


def read_profile(events: Sequence[Mapping[str, Any]]) -> Timed:
    """Medians over the runs, without the warm ones."""
    times: dict[str, list[float]] = defaultdict(list)
    changes: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], float] = {}
    for event in events:
        if event.get("cat") != "Node":
            continue
        arguments = cast(Mapping[str, Any], event["args"])
        operator = arguments["op_name"]
        name = event["name"].removesuffix("_kernel_time").removesuffix("_nchwc")
        if operator in ("ReorderInput", "ReorderOutput", "ThresholdedRelu"):
            key = (operator, arguments["node_index"])
            changes[key].append(event["dur"])
            sizes[key] = bytes_of(arguments["input_type_shape"])
        else:
            times[name].append(event["dur"])
    return Timed(
        nodes={name: median(values) for name, values in times.items()},
        to_blocked=pairs("ReorderInput", changes, sizes),
        from_blocked=pairs("ReorderOutput", changes, sizes),
        pass_over=tuple((2 * s, t) for s, t in pairs("ThresholdedRelu", changes, sizes)),
    )


def median(durations: Sequence[float]) -> float:
    return float(np.median(durations[WARM_RUNS:]))


def bytes_of(shapes: Sequence[Mapping[str, Sequence[int]]]) -> float:
    return 4.0 * math.prod(next(iter(shapes[0].values())))


def pairs(
    operator: str,
    durations: Mapping[tuple[str, str], Sequence[float]],
    sizes: Mapping[tuple[str, str], float],
) -> tuple[tuple[float, float], ...]:
    return tuple((sizes[k], median(v)) for k, v in durations.items() if k[0] == operator)


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
            samples=len(samples), median_error=float(np.median(off)), worst_error=float(np.max(off)),
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
