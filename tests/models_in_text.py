"""Small models written as ONNX text, and what is expected of them."""

import math

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import numpy_helper

from sparsepass.model import to_bytes

HEADER = '<ir_version: 8, opset_import: ["": 17]>'


def proto_of(text: str, **initializers) -> onnx.ModelProto:
    """Parse ONNX text, with a header unless it brings one, and add initializers by name."""
    proto = onnx.parser.parse_model(text if text.lstrip().startswith("<") else HEADER + text)
    for name, array in initializers.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


def model_of(text: str, **initializers) -> ir.Model:
    return ir.from_proto(proto_of(text, **initializers))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def outputs_of(content: bytes | ir.Model, seed: int = 0, batch: int = 2) -> dict[str, np.ndarray]:
    """Run on seeded normal input, on one thread; an open size becomes ``batch``."""
    content = content if isinstance(content, bytes) else to_bytes(content)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, ["CPUExecutionProvider"])
    feeds = {
        value.name: normal(*(d if isinstance(d, int) else batch for d in value.shape), seed=seed)
        for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_same_outputs(before: bytes | ir.Model, after: ir.Model, seed: int = 0) -> None:
    """Two models give the same outputs but for the rounding of ``after``'s sums.

    Each weight that meets an output value may add one rounding of the largest value.
    """
    expected, actual = outputs_of(before, seed), outputs_of(after, seed)
    assert list(expected) == list(actual)
    terms = sum(
        math.prod(v.shape.numpy()[1:])
        for v in after.graph.initializers.values()
        if len(v.shape) > 1
    )
    for name, array in expected.items():
        tolerance = np.finfo(np.float32).eps * max(terms, 1) * np.abs(array).max()
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=tolerance, err_msg=name)
