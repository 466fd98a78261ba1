"""The attributes of nodes, before anything takes them for granted."""

import onnx

from sparsepass.checks.walk import flat, title
from sparsepass.errors import ModelError

__all__ = ["check_attributes"]


def check_attributes(proto: onnx.ModelProto, label: str) -> None:
    """Check that references lead somewhere, and that each Constant is one constant."""
    for node in flat(proto.graph.node):
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{label}: {title(node)} takes {attribute.name!r} from an attribute of a "
                    "function and is in none; export again"
                )
    for node in flat([*proto.graph.node, *(n for f in proto.functions for n in f.node)]):
        is_constant = node.op_type == "Constant" and node.domain in ("", "ai.onnx")
        if is_constant and len(node.attribute) != 1:
            raise ModelError(
                f"{label}: {title(node)} has {len(node.attribute)} values; export again"
            )
