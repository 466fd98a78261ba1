"""What a layer needs to become a custom op: name, constants and attributes, and function bodies."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from sparsepass.algorithms import Algorithm, Attribute, Cut, Packed
from sparsepass.layer import ACTIVATIONS, Layer
from sparsepass.passes import CutInputs, Pair, Replacement
from sparsepass.runtime.activations import activation_attributes, activation_values
from sparsepass.runtime.ops import DOMAIN, KEEP_LARGEST, OPS, PAIR, SECOND, STEMS, VERSION

__all__ = ["add_functions", "cut_inputs", "pairs", "refuse_opset", "replacement"]

METADATA_KEY = "ai.sparsepass.algorithm"


def refuse_opset(algorithm: Algorithm, opset: int) -> str | None:
    """The reason why a model of ``opset`` cannot carry the algorithm's ops, or None."""
    rows = (row for row in OPS if row.name in (algorithm.op, algorithm.before))
    oldest = max((row.oldest_opset for row in rows), default=0)
    return f"opset {opset}: the op's function body needs {oldest}" if opset < oldest else None


def replacement(layer: Layer, algorithm: Algorithm, packed: Packed, opset: int) -> Replacement:
    """The op that computes ``layer`` by ``algorithm``; missing spatial axes have size 1."""
    stem = next(stem for stem in STEMS if stem.name == algorithm.op)
    names = stem.attributes(layer.epilogue.activation, opset)
    values = {**packed.attributes, **geometry(layer), **activation_values(layer.epilogue)}
    return Replacement(
        domain=DOMAIN,
        op_type=stem.name + layer.epilogue.suffix,
        constants=(*packed.inputs, ("bias", packed.bias)),
        attributes={name: attribute(values[name]) for name in names},
        rank=len(layer.kernel),
        channels=layer.channels,
        filters=layer.filters,
        metadata={METADATA_KEY: algorithm.name},
    )


def geometry(layer: Layer) -> dict[str, Attribute]:
    """The attributes of the convolution itself, on two spatial axes."""
    missing, half = 2 - len(layer.kernel), len(layer.pads) // 2
    ones, zeros = (1,) * missing, (0,) * missing
    return {
        "strides": (*ones, *layer.strides),
        "pads": (*zeros, *layer.pads[:half], *zeros, *layer.pads[half:]),
        "dilations": (*ones, *layer.dilations),
        "group": layer.groups,
    }


def attribute(value: Attribute) -> float | tuple[int, ...] | ir.TensorProtocol:
    return ir.tensor(value) if isinstance(value, np.ndarray) else value


def cut_inputs(model: ir.Model, cuts: Mapping[str, Cut]) -> None:
    """Make small values zero that the named layers read, with the function body that this needs."""
    CutInputs(cuts, DOMAIN, KEEP_LARGEST.name, VERSION)(model)
    add_functions(model)


def pairs(opset: int) -> dict[str, Pair]:
    """The op for two convolutions of one input, by their op type, in a model of ``opset``."""
    if opset < PAIR.oldest_opset:
        return {}
    return {
        PAIR.stem.name + activation: Pair(
            PAIR.name + activation, activation_attributes(activation, opset), SECOND
        )
        for activation in ACTIVATIONS
    }


def add_functions(model: ir.Model) -> None:
    """Give ``model`` the function body of each custom op that it uses."""
    used = {node.op_type for node in model.graph if node.domain == DOMAIN}
    opset = model.opset_imports[""]
    for name, body in (entry for row in OPS for entry in row.ops().items()):
        if name in used:
            function = ir.serde.deserialize_function(body(opset))
            model.functions[function.identifier()] = function
