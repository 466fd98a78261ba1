"""What a layer needs to become a custom op: name, constants and attributes, and function bodies."""

import numpy as np
import onnx_ir as ir

from sparsepass.algorithms import Algorithm, Packed
from sparsepass.layer import Layer
from sparsepass.passes import Pair, Replacement
from sparsepass.runtime.ops import (
    ACTIVATIONS,
    DOMAIN,
    MAP_OPS,
    OLDEST_PAIR_OPSET,
    OLDEST_SPARSE_OPSET,
    PAIR,
    SECOND,
    STEMS,
    activation_attributes,
    all_ops,
    function,
    map_function,
    pair_function,
    shape_attributes,
)

__all__ = ["add_functions", "pairs", "refuse_opset", "replacement"]

METADATA_KEY = "ai.sparsepass.algorithm"


def refuse_opset(algorithm: Algorithm, opset: int) -> str | None:
    """The reason why a model of ``opset`` cannot carry the algorithm's op, or None."""
    stem = next((stem for stem in STEMS if stem.name == algorithm.op), None)
    if stem is not None and stem.sparse and opset < OLDEST_SPARSE_OPSET:
        return f"opset {opset}: the op's function body needs {OLDEST_SPARSE_OPSET}"
    return None


def replacement(layer: Layer, algorithm: Algorithm, packed: Packed, opset: int) -> Replacement:
    """The op that computes ``layer`` by ``algorithm``; missing spatial axes have size 1."""
    stem = next(stem for stem in STEMS if stem.name == algorithm.op)
    missing = 2 - len(layer.kernel)
    half = len(layer.pads) // 2
    begins, ends = layer.pads[:half], layer.pads[half:]
    values: dict[str, int | float | list[int] | ir.TensorProtocol] = {
        "strides": [1] * missing + list(layer.strides),
        "dilations": [1] * missing + list(layer.dilations),
        "pads": [0] * missing + list(begins) + [0] * missing + list(ends),
        "group": layer.groups,
        "alpha": layer.epilogue.alpha,
        "min": layer.epilogue.low,
        "max": layer.epilogue.high,
        "min_value": ir.tensor(np.float32(layer.epilogue.low)),
        "max_value": ir.tensor(np.float32(layer.epilogue.high)),
    }
    if stem.sparse:
        shape = [*layer.weight.shape[:2], *[1] * missing, *layer.kernel]
        values |= {"w_shape": shape, "w_dims": ir.tensor(np.array(shape, np.int64))}
    names = (
        *(shape_attributes(opset) if stem.sparse else ()),
        "strides",
        "pads",
        "dilations",
        "group",
        *activation_attributes(layer.epilogue.activation, opset),
    )
    return Replacement(
        domain=DOMAIN,
        op_type=stem.name + layer.epilogue.suffix,
        constants=(*packed.inputs, ("bias", layer.bias)),
        attributes={name: values[name] for name in names},
        rank=len(layer.kernel),
        channels=layer.channels,
        filters=layer.filters,
        metadata={METADATA_KEY: algorithm.name},
    )


def pairs(opset: int) -> dict[str, Pair]:
    """The op for two convolutions of one input, by their op type, in a model of ``opset``."""
    if opset < OLDEST_PAIR_OPSET:
        return {}
    stem = next(stem for stem in STEMS if stem.sparse)
    return {
        stem.name + activation: Pair(
            PAIR + activation, activation_attributes(activation, opset), SECOND
        )
        for activation in ACTIVATIONS
    }


def add_functions(model: ir.Model) -> None:
    """Give ``model`` the function body of each custom op that it uses."""
    used = {node.op_type for node in model.graph if node.domain == DOMAIN}
    opset = model.opset_imports[""]
    bodies = [
        function(stem, epilogue, opset)
        for stem, epilogue in all_ops()
        if stem.name + epilogue.suffix in used
    ]
    bodies += [pair_function(a, opset) for a in ACTIVATIONS if PAIR + a in used]
    bodies += [map_function(op, opset) for op in MAP_OPS if op.name in used]
    for proto in bodies:
        body = ir.serde.deserialize_function(proto)
        model.functions[body.identifier()] = body
