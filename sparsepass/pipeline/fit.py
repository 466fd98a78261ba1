"""Approximated weights fitted again for a whole plan, where held-out samples say that it helps."""

from collections.abc import Sequence

from sparsepass.algorithms import algorithm
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
    """Weights of the layers of ``choices`` that may be fitted again; none where that is no gain."""
    chosen = {choice.layer: choice for choice in choices}
    layers = [layer for layer in studied.layers if layer.name in chosen]
    weights = {
        layer.name: stand_in
        for layer in layers
        if (stand_in := approximated(studied, layer, chosen[layer.name]))
    }
    changed = [layer for layer in layers if layer.name in weights]
    free = {layer.name for layer in changed if is_open(chosen[layer.name])}
    if not free or studied.calibration is None:
        return {}
    model = studied.prepared.model
    fitted = reconstructed(model, changed, weights, free, studied.calibration, options)
    if error(studied, changed, fitted, options) >= error(studied, changed, weights, options):
        return {}
    return {name: fitted[name] for name in free}


def is_open(choice: Choice) -> bool:
    row = algorithm(choice.algorithm)
    return row is not None and row.pack_weight is not None


def approximated(studied: Studied, layer: Layer, choice: Choice) -> tuple[Array, Array] | None:
    """Weight and bias that stand for a lossy choice; None for an exact one."""
    row = algorithm(choice.algorithm)
    if row is None or row.approximate is None:
        return None
    return row.approximate(layer, studied.stats[layer.name], choice.parameters)


def error(
    studied: Studied, layers: Sequence[Layer], weights: Weights, options: RunOptions
) -> float:
    """The relative error of the outputs with other weights, on held-out samples."""
    model, feeds = studied.prepared.model, list(studied.held_out.take(JUDGES))
    networks = (model, with_weights(model, layers, weights))
    runs = [runner(plain_session(to_bytes(n), threads=options.threads)) for n in networks]
    reference, found = ([run(feed) for feed in feeds] for run in runs)
    return relative_error(reference, found)
