"""From a prepared network and a plan to the network that the plan describes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import onnx_ir as ir

from sparsepass.algorithms import algorithm
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
    SplitConvolutions,
    shapes_of_summands,
)
from sparsepass.pipeline.emitted import refuse_emitted
from sparsepass.pipeline.payloads import Payloads, payloads_of
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice
from sparsepass.reconstruction import Weights
from sparsepass.run import RunOptions
from sparsepass.runtime.ops import DOMAIN, LRN, MAX_POOL, VERSION
from sparsepass.runtime.replacements import (
    add_functions,
    cut_inputs,
    pairs,
    refuse_opset,
    replacement,
)

__all__ = ["check_choices", "rewrite"]


def check_choices(studied: Studied, choices: Sequence[Choice], options: RunOptions) -> None:
    """Raise PlanError for a choice that cannot be carried out, and say why.

    It names no layer or one twice, no algorithm or one that refuses the layer or has no place in
    what ``options`` ask for, or parameters that the algorithm does not offer for it.
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
        check_choice(studied, layer, choice, options)


def check_choice(studied: Studied, layer: Layer, choice: Choice, options: RunOptions) -> None:
    stats, target, opset = studied.stats[layer.name], studied.target, studied.prepared.opset
    row = algorithm(choice.algorithm)
    if row is None:
        raise PlanError(
            f"plan: layer {layer.name!r}: no algorithm is called {choice.algorithm!r}; "
            "give one that 'sparsepass info' lists"
        )
    unfit = refuse_emitted(row, options) or refuse_opset(row, opset)
    if reason := unfit or row.refuse(layer, stats, target):
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
    found = payloads_of(studied, choices, weights, split=split)
    prepared = studied.prepared
    model = prepared.model.clone()
    changed = {layer.name: (layer.weight, layer.bias) for layer in found.fitted.values()}
    SetWeights(changed, {})(model)
    # Chains first: they leave plain convolutions, whose epilogues stay with ONNX Runtime.
    FactorConvolutions(found.chains)(model)
    AddChains(found.beside)(model)
    SplitConvolutions(found.splits)(model)
    cut_inputs(model, {name: packed.cut for name, (_, packed) in found.ops.items() if packed.cut})
    # Values keep their names and shapes whatever becomes of the layers.
    shapes = prepared.known.shapes
    summands = shapes_of_summands(model, found.beside, shapes)
    lower(studied, model, found, {**shapes, **summands})
    if fused:
        FuseBranches(DOMAIN, pairs(model.opset_imports[""]))(model)
    add_functions(model)
    return model


def lower(
    studied: Studied, model: ir.Model, found: Payloads, shapes: Mapping[str, ir.Shape]
) -> None:
    """Turn layers into the custom ops that they become, and what lies between these."""
    opset, values = model.opset_imports[""], studied.prepared.known.values
    # An Add between two layers goes to the one that becomes an op, whichever it was counted for.
    absorbed = fusions(model, found.ops, shapes)
    replacements = {
        name: replacement(
            replace(found.layers[name], epilogue=absorbed[name].epilogue), row, packed, opset
        )
        for name, (row, packed) in found.ops.items()
    }
    LowerConvolutions(replacements, VERSION, shapes)(model)
    if not replacements:
        return
    # Between our ops, a normalisation or pool of ours needs no layout change.
    LowerLrn(DOMAIN, LRN.name, VERSION, values)(model)
    blocked = blocked_nodes(studied.layouts, found.ops)
    LowerMaxPool(DOMAIN, MAX_POOL.name, VERSION, values, lambda node: node.name not in blocked)(
        model
    )
