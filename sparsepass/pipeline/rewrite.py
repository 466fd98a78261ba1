"""From a prepared network and a plan to the network that the plan describes."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from sparsepass.algorithms import Factor, Lowering, Packed, algorithm
from sparsepass.errors import PlanError
from sparsepass.layer import Layer
from sparsepass.passes import FactorLowRank, LowerConvolutions, Replacement
from sparsepass.plan import Choice
from sparsepass.runtime.lowering import add_functions, refuse_opset, replacement
from sparsepass.runtime.ops import VERSION
from sparsepass.sparsity import Stats

__all__ = ["rewrite"]


def rewrite(
    prepared: ir.Model,
    layers: Sequence[Layer],
    stats: Mapping[str, Stats],
    choices: Sequence[Choice],
) -> ir.Model:
    """Return a copy of ``prepared`` in which each chosen layer runs by its algorithm.

    Layers that ``choices`` does not name stay as they are.  Raises PlanError for a choice that
    names no layer or no algorithm, or an algorithm that refuses the layer.
    """
    by_name = {layer.name: layer for layer in layers}
    opset = prepared.opset_imports[""]
    chains: dict[str, tuple[Factor, ...]] = {}
    replacements: dict[str, Replacement] = {}
    for choice in choices:
        layer, row = by_name.get(choice.layer), algorithm(choice.algorithm)
        if layer is None:
            raise PlanError(f"plan: the model has no layer {choice.layer!r}; plan it again")
        if row is None:
            raise PlanError(f"plan: no algorithm is called {choice.algorithm!r}; see 'info'")
        reason = row.refuse(layer, stats[layer.name]) or refuse_opset(row, opset)
        if reason:
            raise PlanError(f"plan: {row.name} cannot compute {layer.name!r}: {reason}")
        packed = row.pack(layer, stats[layer.name], choice.parameters)
        match row.lowering, packed:
            case Lowering.CUSTOM_OP, Packed():
                replacements[layer.name] = replacement(layer, row, packed, opset)
            case Lowering.CONV_CHAIN, tuple():
                chains[layer.name] = packed
            case _:
                continue
    model = prepared.clone()
    # Chains first: they leave plain convolutions, whose epilogues stay with ONNX Runtime.
    FactorLowRank(chains)(model)
    LowerConvolutions(replacements, VERSION)(model)
    add_functions(model)
    return model
