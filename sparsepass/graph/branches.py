"""Two layers of one input whose outputs a Concat puts side by side: one op may compute them."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from sparsepass.graph.fusions import fusions
from sparsepass.graph.values import is_read_once, is_standard
from sparsepass.layer import Layer

__all__ = ["branches"]

# Of images: the second axis, counted from either end.
CHANNELS = (1, -3)


def branches(
    model: ir.Model, layers: Iterable[Layer], shapes: Mapping[str, ir.Shape]
) -> dict[str, tuple[str, str]]:
    """The two layers whose channels a Concat joins, by the name of its node.

    They read one value, have the same activation function and add nothing; nothing else reads what
    they make.  ``shapes`` are those of the values, see ``shapes.open_shapes``.
    """
    epilogues = {layer.name: layer.epilogue for layer in layers}
    found = fusions(model, epilogues, shapes)
    makers = {fusion.output: name for name, fusion in found.items()}

    def alike(first: str, second: str) -> bool:
        sources = [found[name].nodes[0].inputs[0] for name in (first, second)]
        one, other = epilogues[first], epilogues[second]
        return sources[0] is sources[1] and one == other and not one.residual

    pairs: dict[str, tuple[str, str]] = {}
    for node in model.graph:
        read = [makers[v] for v in node.inputs if v in makers and is_read_once(v)]
        if joins_channels(node) and len(read) == len(node.inputs) == 2 and alike(*read):
            pairs[node.name or ""] = read[0], read[1]
    return pairs


def joins_channels(node: ir.Node) -> bool:
    return is_standard(node, "Concat") and node.attributes.get_int("axis", 0) in CHANNELS
