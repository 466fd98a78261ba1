"""How much the network's outputs change when one layer's output is approximated.

An approximated layer is stood in for by a dense convolution with other weights, so that one
session, whose weights are inputs, measures every approximation.

The change is not proportional to the layer's error: small errors drown in the activations that
follow.  It is measured at a few errors and interpolated (``Response``).  Errors of several layers
are combined as if they were independent, squares add up.  That is a model for selection; what
a plan really does to the outputs is measured before anything is written.
"""

import math
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.algorithms import ALGORITHMS
from sparsepass.calibration import nodes_of
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import Run, leaves, plain_session, runner
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.samples import Samples
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["Probe", "Response", "output_errors", "relative_error", "responses"]

# Relative errors of a layer at which the outputs are measured, over the range that can be of use.
PROBED_ERRORS = (0.03, 0.1, 0.3)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Probe:
    """An approximation of one convolution; ``stand_in`` makes its dense weight and bias."""

    layer: Layer
    stand_in: Callable[[], tuple[Array, Array]]


@dataclass(frozen=True)
class Response:
    """Pairs of a layer's relative error and that of the network's outputs, ascending, above 0."""

    points: tuple[tuple[float, float], ...]

    def output_error(self, layer_error: float) -> float:
        """Expected relative error of the outputs, interpolated on logarithmic scales.

        Outside of the points it is proportional to the nearest one.
        """
        if layer_error <= 0 or not self.points:
            return 0.0
        errors, changes = zip(*self.points, strict=True)
        nearest = min(max(layer_error, errors[0]), errors[-1])
        change = math.exp(np.interp(math.log(nearest), np.log(errors), np.log(changes)))
        return change * layer_error / nearest


def output_errors(
    model: ir.Model,
    probes: Mapping[Key, Probe],
    samples: Samples,
    options: RunOptions = DEFAULTS,
) -> dict[Key, float]:
    """Measure the relative error of the network's outputs for each probe, one layer at a time.

    It takes a run per probe and sample, and all samples stay in memory: give a few.
    """
    layers = {probe.layer.name: probe.layer for probe in probes.values()}
    progress = options.step("measuring sensitivity")
    run = with_open_weights(model, layers.values(), options.threads)
    exact = {k: v for layer in layers.values() for k, v in weights_of(layer).items()}
    feeds = [{**feed, **exact} for feed in samples]
    references = [run(feed) for feed in feeds]
    errors: dict[Key, float] = {}
    for key, probe in probes.items():
        changed = weights_of(probe.layer, *probe.stand_in())
        found = [run({**feed, **changed}) for feed in feeds]
        errors[key] = relative_error(references, found)
        progress(len(errors), len(probes))
    return errors


def relative_error(
    references: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> float:
    """Root of the summed squares of the difference over those of the reference.

    Sums run over all samples; of several outputs the worst counts, outputs of integers do not.
    """
    return max(
        (
            error_of([a[name] for a in references], [b[name] for b in found])
            for name in references[0]
        ),
        default=0.0,
    )


def error_of(references: Sequence[Any], found: Sequence[Any]) -> float:
    """That of one output, infinite where it has other sizes or entries than its reference."""
    change = whole = 0.0
    for reference, other in zip(references, found, strict=True):
        arrays, others = leaves(reference), leaves(other)
        if [a.shape for a in arrays] != [b.shape for b in others]:
            return math.inf
        floating = [(a, b) for a, b in zip(arrays, others, strict=True) if a.dtype.kind == "f"]
        change += sum(energy(b - a) for a, b in floating)
        whole += sum(energy(a) for a, _ in floating)
    return math.sqrt(change / whole) if whole > 0 else (math.inf if change > 0 else 0.0)


def energy(values: NDArray[Any]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def responses(
    model: ir.Model,
    layers: Iterable[Layer],
    stats: Mapping[str, Stats],
    target: Target,
    samples: Samples,
    options: RunOptions = DEFAULTS,
    offered: Mapping[str, Container[str]] | None = None,
) -> dict[str, Response]:
    """Measure how the outputs respond to errors of each layer that an algorithm may approximate.

    ``offered`` names those that count for a layer, by default all.
    Each layer is replaced by the approximations whose errors are nearest to ``PROBED_ERRORS``.
    Layer errors are the expected ones: ``samples`` that were not calibrated on bring out what those
    hide.
    """
    probes: dict[tuple[str, int], Probe] = {}
    errors: dict[tuple[str, int], float] = {}
    for layer in layers:
        for number, (probe, error) in enumerate(
            probes_of(layer, stats[layer.name], target, offered and offered[layer.name])
        ):
            probes[layer.name, number] = probe
            errors[layer.name, number] = error
    if not probes:
        return {}
    measured = output_errors(model, probes, samples, options)
    points: dict[str, list[tuple[float, float]]] = {}
    for key, change in measured.items():
        if change > 0:
            points.setdefault(key[0], []).append((errors[key], change))
    return {name: Response(tuple(sorted(found))) for name, found in points.items()}


def probes_of(
    layer: Layer, stats: Stats, target: Target, offered: Container[str] | None = None
) -> list[tuple[Probe, float]]:
    """The approximations that are nearest to ``PROBED_ERRORS``, with their errors."""
    found = [
        (Probe(layer, partial(row.approximate, layer, stats, option.parameters)), option.error)
        for row in ALGORITHMS
        if row.approximate
        and (offered is None or row.name in offered)
        and row.refuse(layer, stats, target) is None
        for option in row.known_options(layer, stats, target)
        if option.error > 0
    ]
    nearest = {
        min(range(len(found)), key=lambda i: abs(math.log(found[i][1] / wanted)))
        for wanted in PROBED_ERRORS
        if found
    }
    return [found[i] for i in sorted(nearest)]


def with_open_weights(model: ir.Model, layers: Iterable[Layer], threads: int) -> Run:
    """The network with the weights and biases of ``layers`` as inputs, see ``weights_of``."""
    copy = model.clone()
    listed = list(layers)
    nodes = nodes_of(copy, listed)
    for layer in listed:
        node = nodes[layer.name]
        node.resize_inputs(3)
        for position, (name, array) in enumerate(weights_of(layer).items(), start=1):
            value = ir.val(name, ir.DataType.FLOAT, array.shape)
            copy.graph.inputs.append(value)
            node.replace_input_with(position, value)
    return runner(plain_session(to_bytes(copy), threads=threads))


def weights_of(
    layer: Layer, weight: Array | None = None, bias: Array | None = None
) -> dict[str, Array]:
    """The feed of a layer's weight inputs, its own weights by default."""
    return {
        f"{layer.name}/sparsepass.weight": layer.weight if weight is None else weight,
        f"{layer.name}/sparsepass.bias": layer.bias if bias is None else bias,
    }
