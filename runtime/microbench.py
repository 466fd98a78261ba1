"""Measure what counted work costs on this machine: small convolutions inside small networks.

Each sample is timed as a node of a network of many (see ``sample_networks``).  Prices are fitted by
nonnegative least squares on relative errors.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from scipy import optimize

from sparsepass.algorithms import ALGORITHMS, DENSE, Packed, Work
from sparsepass.cost import FEATURES, features, kind
from sparsepass.layer import Array
from sparsepass.profile import MachineProfile, Rates, Transfer, cpu_name
from sparsepass.run import Steps
from sparsepass.runtime.library import target as target_of
from sparsepass.runtime.sample_layers import Shape, sample_layers, sample_shapes
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

__all__ = ["fit", "measure_profile"]

_optimize = cast(Any, optimize)  # its types are partial
_ort: Any = onnxruntime  # ships no types

# Layers of one network: enough that their weights do not stay in the second-level cache.
NETWORK_LAYERS = 16
# Weights of each shape, with different shares of zeros.
SPARSITIES = 3
# Shares of zeros in the inputs, in turn.
INPUT_ZEROS = (0.3, 0.5, 0.7, 0.9)
# ONNX Runtime's profile counts whole microseconds.
RESOLUTION = 1.0
# Errors up to this one count by their squares; the rounds in which a fit finds out which do.
USUAL_ERROR, FIT_ROUNDS = 0.05, 10
# Operators that ONNX Runtime runs in either layout, at different speeds, and the feature maps to
# time them on: channels and size.
OPERATORS = ("GlobalAveragePool", "GlobalMaxPool", "Resize")
OPERATOR_MAPS = {
    "m0": (64, 56), "m1": (128, 28), "m2": (256, 14), "m3": (512, 7), "m4": (32, 48),
    "m5": (64, 12),
}  # fmt: skip
# A kind of layer with fewer samples gets no prices of its own.
FEWEST_SAMPLES = 6


def measure_profile(
    threads: int,
    *,
    isa: str | None = None,
    progress: Steps = lambda done, total: None,
    command: str = "sparsepass calibrate",
) -> MachineProfile:
    """Measure every algorithm that has prices of its own, with ``threads`` threads.

    ``isa`` is the instruction set of our kernels, see ``session``.  It takes about a minute;
    ``progress`` gets the number of networks done and of all.
    """
    target, rng = target_of(isa), np.random.default_rng(0)
    # Layers of a network are of similar size: small ones find their data in the caches.
    shapes = sorted(sample_shapes(), key=lambda shape: shape.map_size)
    firsts = range(0, len(shapes), NETWORK_LAYERS)
    found: list[tuple[SampleNode, float]] = []
    changes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for done, first in enumerate(firsts):
        progress(done, len(firsts) + 1)
        numbered = range(first, min(first + NETWORK_LAYERS, len(shapes)))
        batch = [c for index in numbered for c in sample_nodes(index, shapes[index], target, rng)]
        timed = time_sample_nodes(batch, threads, rng, isa)
        found += [(c, timed.nodes[c.node]) for c in batch if c.node in timed.nodes]
        for operator, pairs in timed.passes.items():
            changes[operator] += pairs
    progress(len(firsts), len(firsts) + 1)
    unblocked = time_operators(threads, rng)
    progress(len(firsts) + 1, len(firsts) + 1)
    rates, errors = fit_all(found, target.block)
    return MachineProfile(
        cpu=cpu_name(),
        isa=target.isa,
        block=target.block,
        threads=threads,
        onnxruntime=_ort.__version__,
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


def sample_nodes(
    index: int, shape: Shape, target: Target, rng: np.random.Generator
) -> Iterator[SampleNode]:
    """What to time for one shape: the dense layer once, every other algorithm for each weight."""
    zeros = INPUT_ZEROS[index % len(INPUT_ZEROS)]
    for which, layer in enumerate(sample_layers(shape, f"s{index}", rng, SPARSITIES)):
        stats = Stats(weight_stats(layer), random_zeros(zeros))
        for row in ALGORITHMS:
            if row.prices or (row is DENSE and which > 0):
                continue
            if row.refuse(layer, stats, target):
                continue
            for number, option in enumerate(row.options(layer, stats, target)):
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
    times = time_nodes(model_of(nodes, shared.values()), feeds, threads).nodes
    found: dict[str, Transfer] = {}
    for operator in OPERATORS:
        extras = {name: extra(times, f"{name}.{operator}") for name in OPERATOR_MAPS}
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
    operands: list[ir.Value | None] = [nodes[-1].outputs[0]]
    if operator == "Resize":
        operands += [None, shared["scales"]]
    attributes = {"mode": "linear"} if operator == "Resize" else {}
    nodes.append(ir.node(operator, operands, attributes, name=name))
    return ended(nodes, nodes[-1])


def extra(times: Mapping[str, float], name: str) -> float:
    """Microseconds more in NCHW, 0 where that is not slower or there is no blocked layout."""
    plain = times[f"{name}.nchw"]
    return max(0.0, plain - times.get(f"{name}.blocked", plain))


def moved(operator: str, channels: int, size: int) -> float:
    outputs = 4 * size * size if operator == "Resize" else 1
    return 4.0 * channels * (size * size + outputs)


def fit_all(
    found: Sequence[tuple[SampleNode, float]], block: int
) -> tuple[dict[str, dict[str, Rates]], list[float]]:
    """Prices by algorithm and kind, and the errors of all samples."""
    by_kind: dict[tuple[str, str], list[tuple[Work, float]]] = defaultdict(list)
    for sample, time in found:
        key = sample.row.name, kind(sample.row, sample.layer, block)
        by_kind[key].append((sample.work, time))
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
        )
        errors += list(off)
    return rates, errors


def fit(
    counts: Sequence[Sequence[float]], times: Sequence[float]
) -> tuple[list[float], NDArray[np.float64]]:
    """Prices of the columns of ``counts``, and the error of each row as a share of its time.

    Minimises the squares of the relative errors, and the magnitude of those beyond ``USUAL_ERROR``
    so that a disturbed timing does not count for more, with no price below zero.
    """
    matrix, measured = np.array(counts, np.float64), np.array(times, np.float64)
    # Columns of one size keep the solver exact; an empty one costs nothing.
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-30)
    relative = 1 / (measured + RESOLUTION)
    weights = relative
    prices = errors = np.zeros(0)
    for _ in range(FIT_ROUNDS):
        solution: NDArray[np.float64] = _optimize.nnls(
            matrix / scale * weights[:, None], measured * weights
        )[0]
        prices = solution / scale
        errors = np.abs(matrix @ prices - measured) * relative
        weights = relative / np.sqrt(np.maximum(errors / USUAL_ERROR, 1.0))
    return [float(p) for p in prices], errors


def fit_transfer(found: Sequence[tuple[float, float]]) -> Transfer:
    """Price of a pass over memory by its bytes; free where none was seen."""
    if not found:
        return Transfer(fixed=0.0, bytes=0.0)
    prices, _ = fit([(1.0, size / 1e6) for size, _ in found], [time for _, time in found])
    return Transfer(fixed=prices[0], bytes=prices[1])
