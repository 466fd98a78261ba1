"""What a model file must satisfy before anything else trusts it.

Model files are untrusted.  The checks here cover what onnx.checker accepts although it cannot be
used: external data past its file's end, payloads of the wrong length, convolutions whose numbers
make no sense, sizes whose product overflows.
"""

from pathlib import Path

import onnx

from sparsepass.checks.attributes import check_attributes
from sparsepass.checks.convolutions import check_convolutions
from sparsepass.checks.names import check_functions, check_scope
from sparsepass.checks.tensors import check_tensor, element_count
from sparsepass.checks.versions import OPSET_OF_NOTHING, check_foreign, check_versions
from sparsepass.checks.walk import all_graphs, all_nodes, all_tensors
from sparsepass.errors import ModelError

__all__ = [
    "OPSET_OF_NOTHING",
    "all_graphs",
    "all_nodes",
    "all_tensors",
    "check_convolutions",
    "check_proto",
    "element_count",
]


def check_proto(proto: onnx.ModelProto, label: str, folder: Path | None, max_bytes: int) -> None:
    """Raise ModelError unless versions, tensors, names and calls of ``proto`` are usable.

    ``label`` names the model in messages; ``folder`` is where external data may lie, None where
    it may not be used at all.
    """
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{label}: holds no graph; it is not an ONNX model or it is truncated")
    check_versions(proto, label)
    room = max_bytes
    for tensor in all_tensors(proto):
        room -= check_tensor(tensor, label, folder, room)
    check_scope(proto.graph.node, proto.graph, label, set())
    check_functions(proto, label)
    check_attributes(proto, label)
    check_foreign(proto, label, folder)
