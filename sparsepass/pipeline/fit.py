"""Weights fitted again for a whole plan, where held-out samples say that it helps.

Those of approximated layers, of layers whose input is cut, and of the exact ones behind
the first of them: these keep their algorithm and their zeros, cost no time, and make up for a good
part of the errors that they read.
"""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import dropwhile

import onnx_ir as ir

from sparsepass.algorithms import Cut, Packed, algorithm
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.turns import Key, key_of
from sparsepass.plan import Choice
from sparsepass.reconstruction import Method, Weights, reconstructed, with_weights
from sparsepass.run import RunOptions
from sparsepass.runtime.replacements import cut_inputs
from sparsepass.sensitivity import relative_error

__all__ = ["FittedPlans", "approximated", "fit", "fitted_for_gain"]

# Held-out samples that decide whether fitted weights are better.
JUDGES = 32
# Plans whose weights are kept: those of each may be as large as the network.
MOST_PLANS = 6


@dataclass(frozen=True)
class FittedPlans:
    """The weights of the last few plans of a run, so that the same choices are fitted once."""

    plans: dict[tuple[Key, ...], Weights] = field(default_factory=dict[tuple[Key, ...], Weights])

    def weights(self, studied: Studied, choices: Sequence[Choice], options: RunOptions) -> Weights:
        """What ``fit`` gives for these."""
        key = tuple(key_of(choice.layer, choice) for choice in choices)
        known = self.plans.pop(key, None)
        # Taken out and put back in: the first one is that which was asked for least lately.
        self.plans[key] = fit(studied, choices, options) if known is None else known
        if len(self.plans) > MOST_PLANS:
            del self.plans[next(iter(self.plans))]
        return self.plans[key]


def fit(studied: Studied, choices: Sequence[Choice], options: RunOptions) -> Weights:
    """Weights that may be fitted again to the lossy ``choices``; none where that is no gain."""
    chosen = {choice.layer: choice for choice in choices}
    weights: dict[str, tuple[Array, Array]] = {}
    cuts: dict[str, Cut] = {}
    for layer in studied.layers:
        choice = chosen.get(layer.name)
        if choice is None:
            continue
        if stand_in := approximated(studied, layer, choice):
            weights[layer.name] = stand_in
        elif (packed := packed_of(studied, layer, choice)) and packed.cut:
            weights[layer.name] = layer.weight, packed.bias
            cuts[layer.name] = packed.cut
    free = {name for name in weights if is_open(chosen[name])}
    for layer in behind(studied.layers, weights):
        if layer.name not in chosen and layer.op_type == "Conv":
            weights[layer.name] = layer.weight, layer.bias
            free.add(layer.name)
    fitted = fitted_for_gain(studied, weights, free, cuts, options)
    return {name: fitted[name] for name in free} if fitted else {}


def fitted_for_gain(
    studied: Studied,
    weights: Weights,
    free: Collection[str],
    cuts: Mapping[str, Cut],
    options: RunOptions,
    method: Method | None = None,
) -> Weights | None:
    """The ``weights`` that stand for a plan, those of ``free`` layers fitted by ``method``.

    ``cuts`` are those of inputs, by layer.  None where outputs on held-out samples are no nearer
    for it.
    """
    if not free or studied.calibration is None:
        return None
    model, change = studied.prepared.model, partial(cut_inputs, cuts=cuts)
    layers = [layer for layer in studied.layers if layer.name in weights]
    fitted = reconstructed(
        model, layers, weights, free, studied.calibration, options, change=change, method=method
    )
    errors: list[float] = []
    for found in (weights, fitted):
        changed = with_weights(model, layers, found)
        change(changed)
        errors.append(error(studied, changed, options))
    return fitted if errors[1] < errors[0] else None


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


def packed_of(studied: Studied, layer: Layer, choice: Choice) -> Packed | None:
    """What a choice needs that becomes a custom op; None for others."""
    row = algorithm(choice.algorithm)
    packed = row and row.pack(layer, studied.stats[layer.name], choice.parameters)
    return packed if isinstance(packed, Packed) else None


def error(studied: Studied, changed: ir.Model, options: RunOptions) -> float:
    """The relative error of the outputs of a changed network, on held-out samples."""
    feeds, networks = list(studied.held_out.take(JUDGES)), (studied.prepared.model, changed)
    runs = [runner(plain_session(to_bytes(n), threads=options.threads)) for n in networks]
    reference, found = ([run(feed) for feed in feeds] for run in runs)
    return relative_error(reference, found)
