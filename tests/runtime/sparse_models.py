"""Models of one custom op, as exported files hold them, and what may be wrong with them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import native
import numpy as np
import onnx
import onnxruntime
from native import NATIVE, Conv, Problem, sparse_payload
from onnx import helper, numpy_helper

from sparsepass.layer import Epilogue
from sparsepass.runtime import library_path, ops

IR_VERSION = 8  # the first with functions, which every supported ONNX Runtime reads
ATTRIBUTES = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
WITHOUT = object()
CONV = Conv(4, 3, 1, 3, 3, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def pruned(*shape: int, density: float = 0.4, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape, np.float32)
    return np.where(rng.random(shape) < density, values, np.float32(0))


WEIGHT, BIAS, X = pruned(*CONV.weight_shape), normal(4, seed=2), normal(2, 3, 9, 7)


def payload_of(stem: ops.Stem, weight: np.ndarray) -> dict[str, np.ndarray]:
    """The weight as the inputs of an op hold it."""
    if not stem.sparse:
        return {"W": weight}
    return dict(zip(stem.inputs, sparse_payload(weight), strict=True))


def attributes_of(
    stem: ops.Stem, epilogue: Epilogue, weight_shape: Iterable[int], opset: int
) -> dict[str, Any]:
    """Every attribute of an op in a model of ``opset``, for stride 1 and padding 1."""
    every = {
        **ATTRIBUTES,
        "min": epilogue.low,
        "max": epilogue.high,
        "min_value": numpy_helper.from_array(np.float32(epilogue.low)),
        "max_value": numpy_helper.from_array(np.float32(epilogue.high)),
        "alpha": epilogue.alpha,
        "w_shape": tuple(weight_shape),
        "w_dims": numpy_helper.from_array(np.array(weight_shape, np.int64)),
    }
    names = (
        *ATTRIBUTES,
        *ops.activation_attributes(epilogue.activation, opset),
        *(ops.shape_attributes(opset) if stem.sparse else ()),
    )
    return {name: every[name] for name in names}


def model(
    stem: ops.Stem,
    epilogue: Epilogue,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    opset: int = 17,
    input_shape: Iterable[int | str] = ("N", 3, "H", "W"),
    residual_shape: Iterable[int | str] = ("N", 4, "P", "Q"),
    output_shape: Iterable[int | str] | None = ("N", 4, "P", "Q"),
    attributes: Mapping[str, Any] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    fed: Iterable[str] = (),
    with_body: bool = True,
    node_name: str = "conv_7",
) -> onnx.ModelProto:
    """A model of one op: ``x``, and the residual ``R`` where it adds one, to ``y``.

    ``attributes`` and ``inputs`` replace what an exported file has (WITHOUT drops an attribute),
    inputs in ``fed`` are inputs of the graph instead of initializers.
    """
    all_attributes = attributes_of(stem, epilogue, weight.shape, opset) | dict(attributes or {})
    constants = payload_of(stem, weight) | {"B": bias} | dict(inputs or {})
    node = helper.make_node(
        stem.name + epilogue.suffix,
        ["x", *constants, *(["R"] if epilogue.residual else [])],
        ["y"],
        name=node_name,
        domain=ops.DOMAIN,
        **{name: value for name, value in all_attributes.items() if value is not WITHOUT},
    )
    values = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(input_shape))]
    if epilogue.residual:
        shape = list(residual_shape)
        values.append(helper.make_tensor_value_info("R", onnx.TensorProto.FLOAT, shape))
    tensors = {name: numpy_helper.from_array(array, name) for name, array in constants.items()}
    values += [
        helper.make_tensor_value_info(name, tensors[name].data_type, constants[name].shape)
        for name in fed
    ]
    graph = helper.make_graph(
        [node],
        "one_op",
        values,
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, output_shape)],
        [tensor for name, tensor in tensors.items() if name not in set(fed)],
    )
    return helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", opset),
            helper.make_opsetid(ops.DOMAIN, ops.VERSION),
        ],
        functions=[ops.function(stem, epilogue, opset)] if with_body else [],
        ir_version=IR_VERSION,
    )


def open_session(
    proto: onnx.ModelProto, *, library: bool = True, threads: int = 1
) -> onnxruntime.InferenceSession:
    """A session that prints nothing, with our library or without."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    if library:
        options.register_custom_ops_library(str(library_path()))
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


# --- every op on the same operands ---------------------------------------------------------------


def with_values(epilogue: Epilogue) -> Epilogue:
    """An epilogue with bounds and slopes that show."""
    return Epilogue(epilogue.residual, epilogue.activation, low=-0.5, high=0.75, alpha=0.2)


def algorithm_of(stem: ops.Stem) -> str:
    rows = re.findall(r"^SP_OP\((\w+), (\w+),", (NATIVE / "ops.inc").read_text(), re.MULTILINE)
    return dict(rows)[stem.name]


def problem_of(
    epilogue: Epilogue, feeds: dict[str, np.ndarray], *, weight=WEIGHT, bias=BIAS, conv=CONV
) -> Problem:
    """The same convolution for the scalar reference."""
    finish = {
        "": native.Epilogue(),
        "Relu": native.Epilogue(low=0),
        "Clip": native.Epilogue(low=epilogue.low, high=epilogue.high),
        "LeakyRelu": native.Epilogue(slope=epilogue.alpha),
    }[epilogue.activation]
    return Problem(conv, weight, bias, feeds["x"], feeds.get("R"), finish)


def feeds_of(epilogue: Epilogue) -> dict[str, np.ndarray]:
    return {"x": X} | ({"R": normal(2, 4, 9, 7, seed=3)} if epilogue.residual else {})
