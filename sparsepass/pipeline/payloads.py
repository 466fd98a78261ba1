"""What every layer of a plan becomes, sorted by the pass that makes it so."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sparsepass.algorithms import Algorithm, Beside, Factor, Packed, Payload, algorithm
from sparsepass.layer import Layer
from sparsepass.passes import Split
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice
from sparsepass.reconstruction import Weights

__all__ = ["Payloads", "payloads_of"]


@dataclass(frozen=True)
class Payloads:
    """By the names of layers: ``chains`` in their place, and ``beside`` them; ``ops``; ``splits``.

    ``layers`` are all of them, the exact ones with the weights that were fitted to what the lossy
    ones leave; these are ``fitted``.
    """

    layers: dict[str, Layer]
    fitted: dict[str, Layer]
    chains: dict[str, tuple[Factor, ...]] = field(default_factory=dict[str, tuple[Factor, ...]])
    beside: dict[str, tuple[Factor, ...]] = field(default_factory=dict[str, tuple[Factor, ...]])
    ops: dict[str, tuple[Algorithm, Packed]] = field(
        default_factory=dict[str, tuple[Algorithm, Packed]]
    )
    splits: dict[str, Split] = field(default_factory=dict[str, Split])


def payloads_of(
    studied: Studied, choices: Sequence[Choice], weights: Weights, *, split: bool
) -> Payloads:
    """What ``choices`` make of their layers; see ``rewrite`` for the arguments."""
    fitted = with_fitted(studied.layers, choices, weights)
    found = Payloads({layer.name: layer for layer in studied.layers} | fitted, fitted)
    for choice in choices:
        layer, row = found.layers[choice.layer], row_of(choice)
        if split and (terms := split_of(studied, layer, choice, weights)):
            found.splits[layer.name] = terms
            continue
        match payload_of(studied, layer, choice, weights):
            case Packed() as packed:
                found.ops[layer.name] = row, packed
            case Beside(chain, packed):
                found.ops[layer.name] = row, packed
                found.beside[layer.name] = chain
            case tuple() as chain:
                found.chains[layer.name] = chain
            case None:
                continue
    return found


def payload_of(studied: Studied, layer: Layer, choice: Choice, weights: Weights) -> Payload:
    """What one layer becomes, with the weight that was fitted again where there is one."""
    row, stats = row_of(choice), studied.stats[layer.name]
    if row.pack_weight and layer.name in weights:
        weight, bias = weights[layer.name]
        return row.pack_weight(replace(layer, weight=weight, bias=bias), stats, choice.parameters)
    return row.pack(layer, stats, choice.parameters)


def split_of(studied: Studied, layer: Layer, choice: Choice, weights: Weights) -> Split | None:
    """The sum of plain convolutions that a layer becomes, where its algorithm has terms."""
    row, stats = row_of(choice), studied.stats[layer.name]
    if not row.terms or not row.approximate:
        return None
    weight, bias = weights.get(layer.name) or row.approximate(layer, stats, choice.parameters)
    return Split(row.terms(replace(layer, weight=weight), choice.parameters), bias)


def with_fitted(
    layers: Sequence[Layer], choices: Sequence[Choice], weights: Weights
) -> dict[str, Layer]:
    """The exact layers whose weights were fitted to what the lossy ones leave, with these."""
    lossy = {choice.layer for choice in choices if row_of(choice).numerics == "lossy"}
    return {
        layer.name: replace(layer, weight=weights[layer.name][0], bias=weights[layer.name][1])
        for layer in layers
        if layer.name in weights and layer.name not in lossy
    }


def row_of(choice: Choice) -> Algorithm:
    row = algorithm(choice.algorithm)
    assert row is not None, choice.algorithm
    return row
