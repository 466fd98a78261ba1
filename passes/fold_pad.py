"""Fold a Pad with zeros into the ``pads`` of the convolutions that read it."""

import logging
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import constant_array, is_standard

__all__ = ["FoldPad"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldPad(ir.passes.InPlacePass):
    """Turn ``Conv(Pad(x))`` into ``Conv(x)`` with larger pads."""

    name: ClassVar[str] = "fold-pad"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold every zero Pad of the image axes; one that others read too stays for them."""
        modified = False
        for node in list(model.graph):
            if not is_standard(node, "Conv"):
                continue
            found = match(node)
            if isinstance(found, str):
                logger.debug("%s kept: %s", node.name, found)
                continue
            rewrite(found)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


@dataclass(frozen=True)
class Match:
    """A Conv, the Pad before it and the pads of both together."""

    conv: ir.Node
    pad: ir.Node
    pads: tuple[int, ...]


def match(conv: ir.Node) -> Match | str:
    """Return what folding the Pad before ``conv`` needs, or the reason there is none."""
    source, weight = conv.inputs[:2]
    pad = source.producer() if source is not None else None
    if pad is None or not is_standard(pad, "Pad") or pad.graph is not conv.graph:
        return "its input does not come from a Pad"
    if conv.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "auto_pad counts on the padded size"
    if weight is None or weight.shape is None:
        return "its weight has no known rank"
    rank = len(weight.shape)
    added = zero_pads(pad, rank)
    if isinstance(added, str):
        return added
    own = conv.attributes.get_ints("pads", (0,) * 2 * (rank - 2))
    if len(added) != 2 * rank or len(own) != 2 * (rank - 2):
        return "the Pad has another rank than the Conv"
    begins, ends = added[:rank], added[rank:]
    if any(begins[:2]) or any(ends[:2]) or min(added) < 0:
        return "the Pad touches batch or channels, or crops"
    pads = tuple(a + b for a, b in zip((*begins[2:], *ends[2:]), own, strict=True))
    return Match(conv, pad, pads)


def zero_pads(pad: ir.Node, rank: int) -> tuple[int, ...] | str:
    """Return what ``pad`` adds to each axis, begins then ends, or why it is not a zero Pad."""
    if pad.attributes.get_string("mode", "constant") != "constant":
        return "the Pad does not pad with a constant"
    if (pads := pad.attributes.get_ints("pads")) is not None:
        is_zero = pad.attributes.get_float("value", 0.0) == 0.0
        return tuple(pads) if is_zero else "the Pad is not of zeros"
    inputs = [*pad.inputs, None, None, None][:4]
    sizes, value, axes = (constant_array(v) for v in inputs[1:])
    known = [
        array is not None or v is None for array, v in zip((value, axes), inputs[2:], strict=True)
    ]
    if sizes is None or not all(known):
        return "the Pad has computed sizes"
    if value is not None and value.any():
        return "the Pad is not of zeros"
    touched = [int(a) % rank for a in axes.reshape(-1)] if axes is not None else list(range(rank))
    if sizes.size != 2 * len(touched):
        return "the Pad has another rank than the Conv"
    result = [0] * 2 * rank
    for i, axis in enumerate(touched):
        result[axis], result[rank + axis] = int(sizes[i]), int(sizes[len(touched) + i])
    return tuple(result)


def rewrite(found: Match) -> None:
    conv, pad = found.conv, found.pad
    conv.attributes.pop("auto_pad", None)
    conv.attributes["pads"] = ir.AttrInt64s("pads", found.pads)
    conv.replace_input_with(0, pad.inputs[0])
    if not pad.outputs[0].uses() and not pad.outputs[0].is_graph_output():
        assert pad.graph is not None
        pad.graph.remove(pad, safe=True)
