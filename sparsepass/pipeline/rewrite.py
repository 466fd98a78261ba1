"""From a prepared network and a plan to the network that the plan describes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from sparsepass.algorithms import Algorithm, Factor, Packed, algorithm
from sparsepass.errors import PlanError
from sparsepass.graph import blocked_nodes, fusions
from sparsepass.layer import Layer
from sparsepass.passes import (
    FactorConvolutions,
    FuseBranches,
    LowerConvolutions,
    LowerLrn,
    LowerMaxPool,
)
from sparsepass.plan import Choice
from sparsepass.runtime.lowering import add_functions, pairs, refuse_opset, replacement
from sparsepass.runtime.ops import DOMAIN, LRN, MAX_POOL, VERSION
from sparsepass.shapes import open_values
from sparsepass.sparsity import Stats

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["check_choices", "rewrite"]


def check_choices(
    layers: Sequence[Layer], stats: Mapping[str, Stats], choices: Sequence[Choice], opset: int
) -> None:
    """Raise PlanError for a choice that cannot be carried out, and say why.

    It names no layer or one twice, no algorithm or one that refuses the layer, or parameters that
    the algorithm does not offer for it.
    """
    by_name = {layer.name: layer for layer in layers}
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
        check_choice(layer, stats[layer.name], choice, opset)


def check_choice(layer: Layer, stats: Stats, choice: Choice, opset: int) -> None:
    row = algorithm(choice.algorithm)
    if row is None:
        raise PlanError(
            f"plan: layer {layer.name!r}: no algorithm is called {choice.algorithm!r}; "
            "give one that 'sparsepass info' lists"
        )
    if reason := row.refuse(layer, stats) or refuse_opset(row, opset):
        raise PlanError(f"plan: {row.name} cannot compute {layer.name!r}: {reason}; write dense")
    settings = [dict(option.parameters) for option in row.options(layer, stats)]
    if choice.parameters not in settings:
        raise PlanError(
            f"plan: layer {layer.name!r}: {row.name} is not offered with {choice.parameters}; "
            f"'sparsepass explain' lists its {len(settings)} settings"
        )


def rewrite(
    prepared: ir.Model,
    layers: Sequence[Layer],
    stats: Mapping[str, Stats],
    choices: Sequence[Choice],
    layouts: "nx.DiGraph[str]",
    *,
    fused: bool = True,
) -> ir.Model:
    """Return a copy of ``prepared`` in which each chosen layer runs by its algorithm.

    Layers that ``choices`` does not name stay as they are; ``choices`` are those that
    ``check_choices`` accepts.  ``layouts`` is the layout graph of ``prepared``.  Without
    ``fused`` every layer keeps a node of its own.
    """
    by_name = {layer.name: layer for layer in layers}
    chains: dict[str, tuple[Factor, ...]] = {}
    ops: dict[str, tuple[Algorithm, Packed]] = {}
    for choice in choices:
        layer, row = by_name[choice.layer], row_of(choice)
        packed = row.pack(layer, stats[layer.name], choice.parameters)
        match packed:
            case Packed():
                ops[layer.name] = row, packed
            case tuple():
                chains[layer.name] = packed
            case None:
                continue
    model = prepared.clone()
    # Chains first: they leave plain convolutions, whose epilogues stay with ONNX Runtime.
    FactorConvolutions(chains)(model)
    opset, known = model.opset_imports[""], open_values(model)
    # An Add between two layers goes to the one that becomes an op, whichever it was counted for.
    absorbed = fusions(model, ops)
    replacements = {
        name: replacement(
            replace(by_name[name], epilogue=absorbed[name].epilogue), row, packed, opset
        )
        for name, (row, packed) in ops.items()
    }
    LowerConvolutions(replacements, VERSION)(model)
    if replacements:
        # Between our ops, a normalisation or pool of ours needs no layout change.
        LowerLrn(DOMAIN, LRN.name, VERSION, known)(model)
        blocked = blocked_nodes(layouts, ops)
        LowerMaxPool(DOMAIN, MAX_POOL.name, VERSION, known, lambda node: node.name not in blocked)(
            model
        )
    if fused:
        FuseBranches(DOMAIN, pairs(opset))(model)
    add_functions(model)
    return model


def row_of(choice: Choice) -> Algorithm:
    row = algorithm(choice.algorithm)
    assert row is not None, choice.algorithm
    return row
