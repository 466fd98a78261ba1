"""Whatever a file holds, the answer is a model or an error of one line that says what to do."""

from contextlib import suppress
from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_in_text import normal, proto_of
from refusals import CONV, W, assert_refused
from sparsepass.errors import ModelError, SparsepassError
from sparsepass.graph import layers, layout_graph
from sparsepass.model import load
from sparsepass.passes import FoldBatchNorm, FoldConstants, FoldPad, InlineFunctions, NameNodes
from sparsepass.shapes import infer

# --- files ---------------------------------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path):
    assert_refused(tmp_path / "absent.onnx", "absent.onnx", "No such file")


def test_a_folder_is_refused(tmp_path):
    assert_refused(tmp_path, str(tmp_path), "give an .onnx file")


def test_a_name_that_no_file_can_have_is_refused():
    assert_refused("a\0b", "no file can have this name")


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04" * 9, b"\x08\x08"])
def test_what_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    assert_refused(path, "model.onnx")


def test_a_file_above_the_limit_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(proto_of(CONV, w=W), path)

    with pytest.raises(ModelError, match="larger than 100 bytes"):
        load(path, max_bytes=100)


def test_weights_above_the_limit_are_refused():
    with pytest.raises(ModelError, match="--max-bytes"):
        load(proto_of(CONV, w=W), max_bytes=100)


def test_deep_nesting_is_refused():
    content = b""
    for _ in range(200):
        # The graph of an attribute (field 6) of a node (5) of a graph (1).
        for field in (6, 5, 1):
            content = length_delimited(field, content)

    assert_refused(length_delimited(7, content), "not an ONNX model")


def length_delimited(field: int, content: bytes) -> bytes:
    """Wrap ``content`` as a protobuf field."""
    length, size = [], len(content)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


# --- functions -----------------------------------------------------------------------------------


def nested_functions(depth: int, calls: int) -> onnx.ModelProto:
    """Functions of which each calls the one before ``calls`` times."""
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("local", 1)]

    def function(index: int, operator: str, times: int, domain: str) -> onnx.FunctionProto:
        names = ["x", *(f"t{i}" for i in range(times - 1)), "y"]
        nodes = [
            onnx.helper.make_node(operator, [a], [b], domain=domain) for a, b in pairwise(names)
        ]
        return onnx.helper.make_function("local", f"f{index}", ["x"], ["y"], nodes, opsets)

    proto = proto_of("g (float[1, 4] x) => (float[1, 4] y) { y = Relu(x) }")
    proto.functions.append(function(0, "Relu", 1, ""))
    proto.functions.extend(function(i, f"f{i - 1}", calls, "local") for i in range(1, depth))
    proto.opset_import.append(opsets[1])
    proto.graph.node[0].op_type, proto.graph.node[0].domain = f"f{depth - 1}", "local"
    return proto


@pytest.mark.parametrize(("depth", "calls"), [(30, 2), (14, 2), (4, 30), (2000, 3), (500, 1)])
def test_functions_that_grow_without_bound_are_refused(depth, calls):
    assert_refused(nested_functions(depth, calls), "unction")


@pytest.mark.parametrize("called", [True, False])
def test_the_function_that_grows_is_named_with_the_remedy(called):
    proto = nested_functions(30, 2)
    if not called:
        proto.graph.node[0].op_type, proto.graph.node[0].domain = "Relu", ""

    assert_refused(proto, "grow to", "calls", "'f0'", "call fewer functions")


def test_functions_that_call_functions_in_reason_are_read():
    model = load(nested_functions(8, 2))

    InlineFunctions()(model)

    assert [node.op_type for node in model.graph] == ["Relu"] * 128


# --- anything at all -----------------------------------------------------------------------------


def test_hostile_names_are_only_text():
    proto = proto_of(CONV, w=W)
    proto.graph.node[0].name = "<script>alert(1)</script>"

    assert layers(load(proto)).layers[0].name == "<script>alert(1)</script>"


SMALL = proto_of(
    """
    g (float[N, 4, 8, 8] x) => (float[N, 4, 1, 1] y) {
      p = Pad(x, pads)
      t = Conv<strides = [2, 2]>(p, w, b)
      n = BatchNormalization(t, b, b, b, one)
      r = Relu(n)
      a = Add(r, t)
      y = GlobalAveragePool(a)
    }
    """,
    w=W, b=normal(4), one=np.ones(4, np.float32), pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
).SerializeToString()  # fmt: skip


def read_everything(content: bytes) -> None:
    """Load and ask; only errors on purpose are allowed."""
    with suppress(SparsepassError):
        model = load(content, max_bytes=1 << 24)
        for step in (NameNodes(), FoldConstants(), FoldPad(), FoldBatchNorm()):
            step(model)
        known = infer(model)
        layout_graph(model, layers(model, known).layers, known)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, len(SMALL) - 1))
def test_a_truncated_model_is_read_or_refused(length):
    read_everything(SMALL[:length])


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.lists(st.integers(0, 8 * len(SMALL) - 1), min_size=1, max_size=4))
def test_a_model_with_flipped_bits_is_read_or_refused(bits):
    content = bytearray(SMALL)
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8

    read_everything(bytes(content))
