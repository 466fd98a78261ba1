"""From a prepared network and a plan to the network that the plan describes."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import onnx_ir as ir

from sparsepass.algorithms import Algorithm, Beside, Factor, Packed, algorithm
from sparsepass.errors import PlanError
from sparsepass.graph import blocked_nodes, fusions
from sparsepass.layer import Layer
from sparsepass.passes import (
    AddChains,
    FactorConvolutions,
    FuseBranches,
    LowerConvolutions,
    LowerLrn,
    LowerMaxPool,
    SetWeights,
    Split,
    SplitConvolutions,
    shapes_of_summands,
)
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice
from sparsepass.reconstruction import Weights
from sparsepass.runtime.ops import DOMAIN, LRN, MAX_POOL, VERSION
from sparsepass.runtime.replacements import (
    add_functions,
    cut_inputs,
    pairs,
    refuse_opset,
    replacement,
)

__all__ = ["check_choices", "rewrite"]


def check_choices(studied: Studied, choices: Sequence[Choice]) -> None:
    """Raise PlanError for a choice that cannot be carried out, and say why.

    It names no layer or one twice, no algorithm or one that refuses the layer, or parameters that
    the algorithm does not offer for it.
    """
    by_name = {layer.name: layer for layer in studied.layers}
    seen: set[str] = set()
    for choice in choices:
        layer = by_name.get(choice.layer)
        if layer is None:
            raise PlanError(
                f"plan: the model has no layer {choice.layer!r}; remove it or plan again"
            )
        if choice.layer in seen:
            raise PlanError(f"plan: layer {choice.layer!r} is there twice; remove one of them")
        seen.add(choice.layer)
        check_choice(studied, layer, choice)


def check_choice(studied: Studied, layer: Layer, choice: Choice) -> None:
    stats, target, opset = studied.stats[layer.name], studied.target, studied.prepared.opset
    row = algorithm(choice.algorithm)
    if row is None:
        raise PlanError(
            f"plan: layer {layer.name!r}: no algorithm is called {choice.algorithm!r}; "
            "give one that 'sparsepass info' lists"
        )
    if reason := row.refuse(layer, stats, target) or refuse_opset(row, opset):
        raise PlanError(f"plan: {row.name} cannot compute {layer.name!r}: {reason}; write dense")
    settings = [dict(option.parameters) for option in row.known_options(layer, stats, target)]
    if choice.parameters not in settings:
        raise PlanError(
            f"plan: layer {layer.name!r}: {row.name} is not offered with {choice.parameters}; "
            f"'sparsepass explain' lists its {len(settings)} settings"
        )


def rewrite(
    studied: Studied,
    choices: Sequence[Choice],
    *,
    fused: bool = True,
    weights: Weights = MappingProxyType({}),
    split: bool = False,
) -> ir.Model:
    """Return a copy of the clean network in which each chosen layer runs by its algorithm.

    Layers that ``choices`` does not name stay as they are; ``choices`` are those that
    ``check_choices`` accepts.  Without ``fused`` every layer keeps a node of its own.  ``weights``
    are those that were fitted again for these choices.  With ``split`` weights that have terms are
    written as sums of plain convolutions.
    """
    prepared = studied.prepared
    fitted = with_fitted(studied.layers, choices, weights)
    by_name = {layer.name: fitted.get(layer.name, layer) for layer in studied.layers}
    chains: dict[str, tuple[Factor, ...]] = {}
    beside: dict[str, tuple[Factor, ...]] = {}
    ops: dict[str, tuple[Algorithm, Packed]] = {}
    splits: dict[str, Split] = {}
    for choice in choices:
        layer, row = by_name[choice.layer], row_of(choice)
        stats = studied.stats[layer.name]
        if split and row.terms and row.approximate:
            found = weights.get(layer.name) or row.approximate(layer, stats, choice.parameters)
            terms = row.terms(replace(layer, weight=found[0]), choice.parameters)
            splits[layer.name] = Split(terms, found[1])
            continue
        if row.pack_weight and layer.name in weights:
            weight, bias = weights[layer.name]
            fitted_layer = replace(layer, weight=weight, bias=bias)
            packed = row.pack_weight(fitted_layer, stats, choice.parameters)
        else:
            packed = row.pack(layer, stats, choice.parameters)
        match packed:
            case Packed():
                ops[layer.name] = row, packed
            case Beside():
                ops[layer.name] = row, packed.packed
                beside[layer.name] = packed.chain
            case tuple():
                chains[layer.name] = packed
            case None:
                continue
    model = prepared.model.clone()
    SetWeights({layer.name: (layer.weight, layer.bias) for layer in fitted.values()}, {})(model)
    # Chains first: they leave plain convolutions, whose epilogues stay with ONNX Runtime.
    FactorConvolutions(chains)(model)
    AddChains(beside)(model)
    SplitConvolutions(splits)(model)
    cut_inputs(model, {name: packed.cut for name, (_, packed) in ops.items() if packed.cut})
    # Values keep their names and shapes whatever becomes of the layers.
    opset, known = model.opset_imports[""], prepared.known
    shapes = {**known.shapes, **shapes_of_summands(model, beside, known.shapes)}
    # An Add between two layers goes to the one that becomes an op, whichever it was counted for.
    absorbed = fusions(model, ops, shapes)
    replacements = {
        name: replacement(
            replace(by_name[name], epilogue=absorbed[name].epilogue), row, packed, opset
        )
        for name, (row, packed) in ops.items()
    }
    LowerConvolutions(replacements, VERSION, shapes)(model)
    if replacements:
        # Between our ops, a normalisation or pool of ours needs no layout change.
        LowerLrn(DOMAIN, LRN.name, VERSION, known.values)(model)
        blocked = blocked_nodes(studied.layouts, ops)
        LowerMaxPool(
            DOMAIN, MAX_POOL.name, VERSION, known.values, lambda node: node.name not in blocked
        )(model)
    if fused:
        FuseBranches(DOMAIN, pairs(opset))(model)
    add_functions(model)
    return model


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
