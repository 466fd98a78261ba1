"""What the installed ONNX Runtime takes: versions and foreign operators, found by trying."""

import functools
from pathlib import Path
from typing import Any, cast

import onnx
import onnxruntime
from onnx import TensorProto

from sparsepass.checks.walk import flat, title
from sparsepass.errors import ModelError

__all__ = ["OPSET_OF_NOTHING", "check_foreign", "check_versions"]

STANDARD_DOMAINS = ("", "ai.onnx")
# What a model of foreign operators only is taken to import: the first that ONNX Runtime promises.
OPSET_OF_NOTHING = 7
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"

ort = cast(Any, onnxruntime)
state = ort.capi.onnxruntime_pybind11_state
LOAD_ERRORS: tuple[type[Exception], ...] = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)


def check_versions(proto: onnx.ModelProto, label: str) -> None:
    """Raise ModelError for an IR version or opset that is too new, or where no opset is named."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    if not versions:
        raise ModelError(f"{label}: imports no ONNX opset; export it again with opset 17")
    opset = versions.get("", versions.get("ai.onnx", OPSET_OF_NOTHING))
    if not runs(proto.ir_version, opset):
        raise ModelError(
            f"{label}: IR version {proto.ir_version} with opset {opset} is too new for onnxruntime "
            f"{ort.__version__}; export with an older opset or upgrade onnxruntime"
        )


def check_foreign(proto: onnx.ModelProto, label: str, folder: Path | None) -> None:
    """Raise ModelError for an operator of another domain that ONNX Runtime does not have."""
    functions = {(function.domain, function.name) for function in proto.functions}
    foreign = next(
        (
            node
            for node in flat(proto.graph.node)
            if node.domain not in STANDARD_DOMAINS and (node.domain, node.op_type) not in functions
        ),
        None,
    )
    if foreign is not None and (reason := refusal(proto, folder)) is not None:
        raise ModelError(
            f"{label}: {title(foreign)} is of domain {foreign.domain!r} and onnxruntime does not "
            f"load it ({reason}); inline or replace the operator"
        )


@functools.cache
def runs(ir_version: int, opset: int) -> bool:
    """Tell whether the installed ONNX Runtime loads a model of these versions."""
    x, y = (onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "probe", [x], [y]
    )
    probe = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    probe.ir_version = ir_version
    return refusal(probe, None) is None


def refusal(proto: onnx.ModelProto, folder: Path | None) -> str | None:
    """Return the first line of what ONNX Runtime says against loading ``proto``, or None."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    if folder is not None:
        options.add_session_config_entry(EXTERNAL_FOLDER, str(folder))
    try:
        ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    except LOAD_ERRORS as error:
        return str(error).splitlines()[0]
    return None
