"""Measure what counted work costs on this machine: small convolutions inside small networks.

Each sample is timed as a node of a network of many (see ``sample_networks``); ``fitting`` makes
prices of the times.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime

from sparsepass.algorithms import ALGORITHMS, Packed, Work
from sparsepass.cost import kind
from sparsepass.errors import UsageError
from sparsepass.layer import Array
from sparsepass.profile import MachineProfile, Transfer, cpu_name
from sparsepass.run import Steps
from sparsepass.runtime.fitting import Sample, corrected, fit_kinds, fit_transfer, revised
from sparsepass.runtime.library import target as target_of
from sparsepass.runtime.sample_layers import TABLES, Shape, sample_layers, sample_shapes
from sparsepass.runtime.sample_networks import (
    SampleNode,
    ended,
    graph_input,
    into_blocked,
    model_of,
    relu,
    time_nodes,
    time_sample_nodes,
)
from sparsepass.sparsity import ActivationStats, Stats, weight_stats
from sparsepass.target import Target

__all__ = ["correct_profile", "measure_profile"]

_ort: Any = onnxruntime  # ships no types

# Shapes of two networks, of ONNX Runtime's ops and of ours: there too, neighbours keep code warm.
# Enough that their weights do not stay in the second-level cache.
NETWORK_LAYERS = 16
# Weights of each shape, with different shares of zeros.
SPARSITIES = 3
# Seconds that each network runs, and in a quick correction.
SECONDS, QUICK_SECONDS = 2.0, 0.35
# Shares of zeros in the inputs, in turn.
INPUT_ZEROS = (0.3, 0.5, 0.7, 0.9)
# Of so many shapes of a table a quick correction times one, and so many at least: those with small
# weights, with large ones and between.
EVERY, FEWEST_PROBES = 5, 3
# Operators that ONNX Runtime runs in either layout, at different speeds, by the names that
# ``graph.layout`` gives them, and the feature maps to time them on: channels and size.
RESIZE_NEAREST = {
    "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
}  # fmt: skip
OPERATORS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "GlobalAveragePool": ("GlobalAveragePool", {}),
    "GlobalMaxPool": ("GlobalMaxPool", {}),
    "Resize linear": ("Resize", {"mode": "linear"}),
    "Resize nearest": ("Resize", RESIZE_NEAREST),
}
OPERATOR_MAPS = {
    "m0": (64, 56), "m1": (128, 28), "m2": (256, 14), "m3": (512, 7), "m4": (32, 48),
    "m5": (64, 12),
}  # fmt: skip


def measure_profile(
    threads: int,
    *,
    isa: str | None = None,
    progress: Steps = lambda done, total: None,
    command: str = "sparsepass calibrate",
) -> MachineProfile:
    """Measure every algorithm that has prices of its own, with ``threads`` threads.

    ``isa`` is the instruction set of our kernels, see ``session``.  It takes less than two minutes;
    ``progress`` gets the number of networks done and of all.
    """
    timed = time_shapes([*sample_shapes()], SPARSITIES, threads, isa, SECONDS, progress)
    rates, errors = fit_kinds(timed.samples)
    target = target_of(isa)
    return MachineProfile(
        cpu=cpu_name(),
        isa=target.isa,
        block=target.block,
        threads=threads,
        onnxruntime=_ort.__version__,
        date=date.today().isoformat(),
        command=command,
        samples=len(timed.samples),
        median_error=float(np.median(errors)),
        worst_error=float(np.max(errors)),
        peak_gflops=timed.peak_gflops,
        to_blocked=fit_transfer(timed.passes["ReorderInput"]),
        from_blocked=fit_transfer(timed.passes["ReorderOutput"]),
        pass_over=fit_transfer(
            [(2 * size, time) for size, time in timed.passes["ThresholdedRelu"]]
        ),
        unblocked=time_operators(threads, np.random.default_rng(0)),
        rates=rates,
    )


def correct_profile(
    known: MachineProfile,
    threads: int,
    *,
    isa: str | None = None,
    progress: Steps = lambda done, total: None,
    command: str = "sparsepass calibrate --quick",
) -> MachineProfile:
    """The profile of another machine, its prices moved to what a few layers take on this one.

    It takes some seconds.  What the layers say nothing of stays as it was there against the rest of
    its kind.  Raises UsageError where that one is of another instruction set: its prices are of
    other work.
    """
    here = target_of(isa)
    if not known.target.is_like(here):
        raise UsageError(
            f"no profile of {here} to correct, only of {known.target}; run sparsepass calibrate "
            "without --quick"
        )
    shapes = [shape for table in TABLES for shape in probes(table)]
    timed = time_shapes(shapes, 1, threads, isa, QUICK_SECONDS, progress)
    rates, errors = corrected(known.rates, timed.samples)
    passes = {
        "to_blocked": scaled_transfer(known.to_blocked, timed.passes["ReorderInput"]),
        "from_blocked": scaled_transfer(known.from_blocked, timed.passes["ReorderOutput"]),
    }
    found = revised(known, rates, errors, threads=threads, command=command)
    return found.model_copy(update={"peak_gflops": timed.peak_gflops} | passes)


def probes(table: Sequence[Shape]) -> Iterator[Shape]:
    """The middles of equal parts of a table, in order of channels times filters.

    These tell apart what narrow layers take from what multiply-adds do, better than their number.
    """
    ordered = sorted(table, key=lambda shape: (shape.channels * shape.filters, shape.macs))
    parts = max(FEWEST_PROBES, round(len(table) / EVERY))
    for part in range(parts):
        yield ordered[(2 * part + 1) * len(table) // (2 * parts)]


def scaled_transfer(known: Transfer, found: Sequence[tuple[float, float]]) -> Transfer:
    """``known`` times the median of measured over predicted."""
    ratios = [time / (known.fixed + known.bytes * size / 1e6) for size, time in found]
    factor = float(np.median(ratios)) if ratios else 1.0
    return Transfer(fixed=factor * known.fixed, bytes=factor * known.bytes)


@dataclass(frozen=True)
class TimedShapes:
    """What layers took, what passes over memory took by their bytes, and the highest rate."""

    samples: Sequence[Sample]
    passes: Mapping[str, Sequence[tuple[float, float]]]
    peak_gflops: float


def time_shapes(
    wanted: Sequence[Shape],
    sparsities: int,
    threads: int,
    isa: str | None,
    seconds: float,
    progress: Steps,
) -> TimedShapes:
    """Time every algorithm for layers of every shape, with ``sparsities`` weights each."""
    target, rng = target_of(isa), np.random.default_rng(0)
    # Layers of a network are of similar size: small ones find their data in the caches.
    shapes = sorted(wanted, key=lambda shape: shape.map_size)
    firsts = range(0, len(shapes), NETWORK_LAYERS)
    samples: list[Sample] = []
    passes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for done, first in enumerate(firsts):
        progress(done, len(firsts))
        numbered = range(first, min(first + NETWORK_LAYERS, len(shapes)))
        batch: dict[bool, list[SampleNode]] = defaultdict(list)
        for index in numbered:
            for node in sample_nodes(index, shapes[index], target, rng, sparsities):
                batch[bool(node.row.op)].append(node)
        for nodes in batch.values():
            timed = time_sample_nodes(nodes, threads, rng, isa, seconds)
            samples += [
                Sample(
                    (c.row.name, kind(c.row, c.layer, target.block)),
                    c.layer.shape_text,
                    c.work,
                    timed.nodes[c.node],
                )
                for c in nodes
                if c.node in timed.nodes
            ]
            for operator, pairs in timed.passes.items():
                passes[operator] += pairs
    progress(len(firsts), len(firsts))
    peak = max(2e-3 * (s.work.macs + s.work.idle_macs) / s.microseconds for s in samples)
    return TimedShapes(samples, passes, peak)


def sample_nodes(
    index: int,
    shape: Shape,
    target: Target,
    rng: np.random.Generator,
    sparsities: int = SPARSITIES,
) -> Iterator[SampleNode]:
    """What to time for one shape: every algorithm for each weight that gives it other work."""
    zeros = INPUT_ZEROS[index % len(INPUT_ZEROS)]
    seen: set[tuple[str, int, Work]] = set()
    for layer in sample_layers(shape, f"s{index}", rng, sparsities):
        stats = Stats(weight_stats(layer), random_zeros(zeros))
        for row in ALGORITHMS:
            if row.prices or row.refuse(layer, stats, target):
                continue
            for number, option in enumerate(row.options(layer, stats, target)):
                key = (row.name, number, option.work)
                if key in seen:
                    continue
                seen.add(key)
                packed = row.pack(layer, stats, option.parameters)
                node = f"{layer.name}.{row.name}.{number}"
                if packed is None or isinstance(packed, Packed):
                    yield SampleNode(node, row, layer, option.work, packed, zeros)


def random_zeros(share: float) -> ActivationStats:
    """Statistics of an input whose values are zero independently of each other."""
    kept = 1 - share
    return ActivationStats(
        zeros_mean=share,
        zeros_p10=share,
        zeros_p90=share,
        dead_channels=0.0,
        dense_groups=4 * kept**3 * share + kept**4,
        empty_groups=share**4,
        samples=1,
    )


def time_operators(threads: int, rng: np.random.Generator) -> dict[str, Transfer]:
    """What operators take more in NCHW than in the blocked layout, by the bytes they move."""
    scales = np.array([1, 1, 2, 2], np.float32)
    shared = {"scales": ir.val("scales", const_value=ir.tensor(scales, name="scales"))}
    feeds: dict[str, Array] = {}
    nodes: list[ir.Node] = []
    for name, (channels, size) in OPERATOR_MAPS.items():
        feeds[name] = rng.random((1, channels, size, size), np.float32)
        shared[name] = graph_input(name, feeds[name].shape)
        for operator in OPERATORS:
            for blocked in (False, True):
                nodes += operator_branch(operator, name, shared, blocked, len(nodes))
    timed = time_nodes(model_of(nodes, shared.values()), feeds, threads, seconds=SECONDS)
    found: dict[str, Transfer] = {}
    for operator in OPERATORS:
        extras = {name: extra(timed.nodes, f"{name}.{operator}") for name in OPERATOR_MAPS}
        found[operator] = fit_transfer(
            [(moved(operator, *OPERATOR_MAPS[name]), time) for name, time in extras.items() if time]
        )
    return found


def operator_branch(
    operator: str, source: str, shared: Mapping[str, ir.Value], blocked: bool, number: int
) -> list[ir.Node]:
    name = f"{source}.{operator}.{'blocked' if blocked else 'nchw'}"
    nodes = [relu(shared[source], f"{name}.first", number)]
    if blocked:
        nodes.append(into_blocked(nodes[-1].outputs[0], f"{name}.into"))
    op_type, attributes = OPERATORS[operator]
    operands: list[ir.Value | None] = [nodes[-1].outputs[0]]
    if op_type == "Resize":
        operands += [None, shared["scales"]]
    nodes.append(ir.node(op_type, operands, attributes, name=name))
    return ended(nodes, nodes[-1])


def extra(times: Mapping[str, float], name: str) -> float:
    """Microseconds more in NCHW, 0 where that is not slower or there is no blocked layout."""
    plain = times[f"{name}.nchw"]
    return max(0.0, plain - times.get(f"{name}.blocked", plain))


def moved(operator: str, channels: int, size: int) -> float:
    outputs = 4 * size * size if OPERATORS[operator][0] == "Resize" else 1
    return 4.0 * channels * (size * size + outputs)
