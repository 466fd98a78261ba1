"""Models of one custom op, as exported files hold them, and what may be wrong with them."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import native
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from native import NATIVE, Conv, Problem, sparse_payload
from onnx import helper, numpy_helper
from rounding import restriction

from sparsepass.layer import Epilogue
from sparsepass.runtime import library_path, ops
from sparsepass.runtime.replacements import add_functions
from sparsepass.runtime.weight_forms import SPARSE

IR_VERSION = 8  # the first with functions, which every supported ONNX Runtime reads
WITHOUT = object()

# Every algorithm takes one of these; all have three input channels.
CONV = Conv(4, 3, 1, 3, 3, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
DEPTHWISE = Conv(6, 1, 3, 3, 3, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def pruned(*shape: int, seed: int = 1) -> np.ndarray:
    """Normal values, of which about 60 % are set to zero."""
    values = normal(*shape, seed=seed)
    return np.where(np.random.default_rng(seed + 1).random(shape) < 0.4, values, np.float32(0))


@cache
def algorithm_of(stem: ops.Stem) -> str:
    rows = re.findall(
        r"^SP_CONV_OPS\((\w+), (\w+),", (NATIVE / "ort" / "ops.inc").read_text(), re.MULTILINE
    )
    return dict(rows)[stem.name]


def conv_of(stem: ops.Stem) -> Conv:
    """A convolution that the stem's algorithm computes."""
    return next(c for c in (CONV, DEPTHWISE) if restriction(algorithm_of(stem), c) is None)


def with_values(epilogue: Epilogue) -> Epilogue:
    """An epilogue with bounds and slopes that show."""
    return Epilogue(epilogue.residual, epilogue.activation, low=-0.5, high=0.75, alpha=0.2)


def problem(
    conv: Conv, epilogue: Epilogue, size: tuple[int, int, int] = (2, 9, 7), seed: int = 0
) -> Problem:
    """``conv`` on a sparse weight, for ``size``, which is batch, height and width."""
    finish = {
        "": native.Epilogue(),
        "Relu": native.Epilogue(low=0),
        "Clip": native.Epilogue(low=epilogue.low, high=epilogue.high),
        "LeakyRelu": native.Epilogue(slope=epilogue.alpha),
        "HardSwish": native.Epilogue(smooth="HardSwish"),
        "Silu": native.Epilogue(smooth="Silu"),
    }[epilogue.activation]
    return Problem(
        conv,
        pruned(*conv.weight_shape, seed=1),
        normal(conv.filters, seed=2),
        normal(*conv.input_shape(*size), seed=seed),
        normal(*conv.output_shape(*size), seed=3) if epilogue.residual else None,
        finish,
    )


def feeds_of(problem: Problem) -> dict[str, np.ndarray]:
    return {"x": problem.x} | ({} if problem.residual is None else {"R": problem.residual})


def payload_of(stem: ops.Stem, weight: np.ndarray) -> dict[str, np.ndarray]:
    """The weight as the inputs of an op hold it."""
    form = stem.weight
    constants = sparse_payload(weight) if form is SPARSE else (weight,)
    return dict(zip(form.inputs, constants, strict=True))


def attributes_of(stem: ops.Stem, epilogue: Epilogue, conv: Conv, opset: int) -> dict[str, Any]:
    """Every attribute of an op in a model of ``opset``."""
    of_convolution = {
        "strides": (conv.stride_h, conv.stride_w),
        "pads": (conv.pad_top, conv.pad_left, conv.pad_bottom, conv.pad_right),
        "dilations": (conv.dilation_h, conv.dilation_w),
        "group": conv.groups,
    }
    others = {
        "min": epilogue.low,
        "max": epilogue.high,
        "min_value": numpy_helper.from_array(np.float32(epilogue.low)),
        "max_value": numpy_helper.from_array(np.float32(epilogue.high)),
        "alpha": epilogue.alpha,
        "w_shape": conv.weight_shape,
        "w_dims": numpy_helper.from_array(np.array(conv.weight_shape, np.int64)),
    }
    values = of_convolution | others
    return {name: values[name] for name in stem.attributes(epilogue.activation, opset)}


def model(
    stem: ops.Stem,
    epilogue: Epilogue,
    problem: Problem,
    *,
    opset: int = 17,
    input_shape: Iterable[int | str] = "NCHW",
    residual_shape: Iterable[int | str] = "NKPQ",
    output_shape: Iterable[int | str | None] | None = "NKPQ",
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
    all_attributes = attributes_of(stem, epilogue, problem.conv, opset) | dict(attributes or {})
    constants = payload_of(stem, problem.weight) | {"B": problem.bias} | dict(inputs or {})
    node = helper.make_node(
        stem.name + epilogue.suffix,
        ["x", *constants, *(["R"] if epilogue.residual else [])],
        ["y"],
        name=node_name,
        domain=ops.DOMAIN,
        **{name: value for name, value in all_attributes.items() if value is not WITHOUT},
    )
    values = [float_value("x", input_shape)]
    if epilogue.residual:
        values.append(float_value("R", residual_shape))
    tensors = {name: numpy_helper.from_array(array, name) for name, array in constants.items()}
    values += [
        helper.make_tensor_value_info(name, tensors[name].data_type, constants[name].shape)
        for name in fed
    ]
    graph = helper.make_graph(
        [node],
        "one_op",
        values,
        [float_value("y", output_shape)],
        [tensor for name, tensor in tensors.items() if name not in set(fed)],
    )
    return helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", opset),
            helper.make_opsetid(ops.DOMAIN, ops.VERSION),
        ],
        functions=[stem.function(epilogue, opset)] if with_body else [],
        ir_version=IR_VERSION,
    )


def map_model(op: ops.MapOp, attributes: str, given: str, made: str) -> ir.Model:
    """A model of an op between feature maps and a Relu; shapes and attributes are ONNX text."""
    text = f"""
    <ir_version: {IR_VERSION}, opset_import: ["": 17, "{ops.DOMAIN}": {ops.VERSION}]>
    g (float[{given}] x) => (float[{made}] y) {{
      n = {ops.DOMAIN}.{op.name} <{attributes}> (x)
      y = Relu(n)
    }}
    """
    model = ir.from_proto(onnx.parser.parse_model(text))
    add_functions(model)
    return model


def float_value(name: str, shape: Iterable[int | str | None] | None) -> onnx.ValueInfoProto:
    sizes = None if shape is None else list(shape)
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)


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
