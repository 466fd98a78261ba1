"""Weights fitted again for a whole plan, where held-out samples say that it helps.

Those of approximated layers, of layers that read through a threshold, and of the exact ones behind
the first of them: these keep their algorithm and their zeros, cost no time, and make up for a good
part of the errors that they read.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import dropwhile

import onnx_ir as ir

from sparsepass.algorithms import Packed, algorithm
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice
from sparsepass.reconstruction import Weights, reconstructed, with_weights
from sparsepass.run import RunOptions
from sparsepass.sensitivity import relative_error

__all__ = ["approximated", "fit"]

# Held-out samples that decide whether fitted weights are better.
JUDGES = 32


def fit(studied: Studied, choices: Sequence[Choice], options: RunOptions) -> Weights:
    """Weights that may be fitted again to the lossy ``choices``; none where that is no gain."""
    chosen = {choice.layer: choice for choice in choices}
    weights: dict[str, tuple[Array, Array]] = {}
    thresholds: dict[str, float] = {}
    for layer in studied.layers:
        choice = chosen.get(layer.name)
        if choice is None:
            continue
        if stand_in := approximated(studied, layer, choice):
            weights[layer.name] = stand_in
        elif packed := behind_threshold(studied, layer, choice):
            weights[layer.name] = layer.weight, packed.bias
            thresholds[layer.name] = packed.threshold
    free = {name for name in weights if is_open(chosen[name])}
    for layer in behind(studied.layers, weights):
        if layer.name not in chosen and layer.op_type == "Conv":
            weights[layer.name] = layer.weight, layer.bias
            free.add(layer.name)
    changed = [layer for layer in studied.layers if layer.name in weights]
    if not free or studied.calibration is None:
        return {}
    model = studied.prepared.model
    fitted = reconstructed(
        model, changed, weights, free, studied.calibration, options, thresholds=thresholds
    )
    before, after = (with_weights(model, changed, found, thresholds) for found in (weights, fitted))
    if error(studied, after, options) >= error(studied, before, options):
        return {}
    return {name: fitted[name] for name in free}


def behind(layers: Sequence[Layer], names: Container[str]) -> Iterator[Layer]:
    """The layers from the first one of ``names`` on."""
    return dropwhile(lambda layer: layer.name not in names, layers)


def is_open(choice: Choice) -> bool:
    row = algorithm(choice.algorithm)
    return row is not None and row.pack_weight is not None


def approximated(studied: Studied, layer: Layer, choice: Choice) -> tuple[Array, Array] | None:
    """Weight and bias that stand for a lossy choice; None for an exact one."""
    row = algorithm(choice.algorithm)
    if row is None or row.approximate is None:
        return None
    return row.approximate(layer, studied.stats[layer.name], choice.parameters)


def behind_threshold(studied: Studied, layer: Layer, choice: Choice) -> Packed | None:
    """What a choice becomes that makes small values of its input zero; None for others."""
    row = algorithm(choice.algorithm)
    packed = row and row.pack(layer, studied.stats[layer.name], choice.parameters)
    return packed if isinstance(packed, Packed) and packed.threshold else None


def error(studied: Studied, changed: ir.Model, options: RunOptions) -> float:
    """The relative error of the outputs of a changed network, on held-out samples."""
    feeds, networks = list(studied.held_out.take(JUDGES)), (studied.prepared.model, changed)
    runs = [runner(plain_session(to_bytes(n), threads=options.threads)) for n in networks]
    reference, found = ([run(feed) for feed in feeds] for run in runs)
    return relative_error(reference, found)
