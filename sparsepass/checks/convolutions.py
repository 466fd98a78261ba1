"""The numbers of a Conv node: each alone, against each other and against its weight."""

import onnx_ir as ir

from sparsepass.errors import ModelError

__all__ = ["check_convolutions"]


def check_convolutions(graph: ir.Graph, label: str) -> None:
    """Raise ModelError for a Conv whose attributes contradict its weight or each other."""
    for node in graph.all_nodes():
        if node.op_type == "Conv" and node.domain in ("", "ai.onnx"):
            wrong = convolution_fault(node)
            if wrong is not None:
                raise ModelError(
                    f"{label}: Conv {node.name or node.outputs[0].name!r}: {wrong}; export again"
                )


def convolution_fault(node: ir.Node) -> str | None:
    """Return what is wrong with a Conv, or None."""
    if len(node.inputs) < 2 or node.inputs[0] is None or node.inputs[1] is None:
        return "it has no weight"
    attributes = node.attributes
    weight, data = node.inputs[1].shape, node.inputs[0].shape
    if weight is not None and data is not None and len(weight) != len(data):
        return f"its weight has {len(weight)} axes and its input {len(data)}"
    for name in ("strides", "dilations", "kernel_shape"):
        values = attributes.get_ints(name, ())
        if any(value < 1 for value in values):
            return f"{name} {list(values)} must be positive"
        if weight is not None and values and len(values) != len(weight) - 2:
            return f"{name} {list(values)} does not fit a weight of {len(weight)} axes"
    pads = attributes.get_ints("pads", ())
    if weight is not None and pads and len(pads) != 2 * (len(weight) - 2):
        return f"pads {list(pads)} does not fit a weight of {len(weight)} axes"
    group = attributes.get_int("group", 1)
    if group < 1 or (weight is not None and isinstance(weight[0], int) and weight[0] % group):
        return f"group {group} does not divide the filters"
    if weight is None or not weight.is_static():
        return None
    if len(weight) < 3 or 0 in weight.numpy():
        return f"its weight has shape {list(weight.numpy())}"
    kernel = attributes.get_ints("kernel_shape", weight.numpy()[2:])
    if tuple(kernel) != weight.numpy()[2:]:
        return f"kernel_shape {list(kernel)} contradicts its weight {list(weight.numpy())}"
    channels = data[1] if data is not None and len(data) > 1 else None
    if isinstance(channels, int) and channels != group * weight.numpy()[1]:
        return f"its input has {channels} channels and its weight takes {group * weight.numpy()[1]}"
    return None
