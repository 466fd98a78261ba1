"""Whatever a file holds, the answer is a model or an error of one line that says what to do."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models_in_text import normal, proto_of
from sparsepass.errors import ModelError, SparsepassError
from sparsepass.graph import layers, layout_graph
from sparsepass.model import load
from sparsepass.passes import FoldBatchNorm, FoldConstants, FoldPad, NameNodes
from sparsepass.shapes import infer

CONV = "g (float[1, 4, 8, 8] x) => (float[1, 4, P, Q] y) { [conv] y = Conv(x, w) }"
W = normal(4, 4, 3, 3)


def with_attribute(text: str, w: np.ndarray = W) -> onnx.ModelProto:
    return proto_of(CONV.replace("Conv(", f"Conv<{text}>("), w=w)


def weight_of(proto: onnx.ModelProto) -> TensorProto:
    return proto.graph.initializer[0]


def assert_refused(source, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(source)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


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


# --- versions ------------------------------------------------------------------------------------


def test_unknown_versions_are_refused():
    old, none, new = (proto_of(CONV, w=W) for _ in range(3))
    old.opset_import[0].version = 6
    del none.opset_import[:]
    new.ir_version = 99

    assert_refused(old, "opset 6")
    assert_refused(none, "imports no ONNX opset")
    assert_refused(new, "IR version 99")


def test_an_operator_that_nobody_knows_is_refused():
    header = '<ir_version: 8, opset_import: ["": 17, "ai.strange": 1]>'
    strange = proto_of(header + "g (float[1] x) => (float[1] y) { [odd] y = ai.strange.Odd(x) }")
    standard = proto_of("g (float[1] x) => (float[1] y) { [odd] y = Odd(x) }")

    assert_refused(strange, "odd", "ai.strange")
    assert_refused(standard, "Odd")


# --- structure -----------------------------------------------------------------------------------


def test_a_cycle_is_refused_and_names_a_node():
    proto = proto_of(
        "g (float[2] x) => (float[2] y) { [a] t = Add(x, u) [b] u = Relu(t) [c] y = Relu(u) }"
    )

    assert_refused(proto, "depends on its own output", "'a'")


def test_a_missing_constant_is_refused_and_names_its_reader():
    assert_refused(proto_of(CONV), "'conv'", "'w'")


def test_a_value_that_is_made_twice_is_refused():
    proto = proto_of("g (float[2] x) => (float[2] y) { y = Relu(x) y = Neg(x) }")

    assert_refused(proto, "'y'", "made twice")


def test_a_repeated_constant_is_refused():
    proto = proto_of(CONV, w=W)
    proto.graph.initializer.append(proto.graph.initializer[0])

    assert_refused(proto, "'w'", "appears twice")


def test_an_output_that_nothing_makes_is_refused():
    proto = proto_of("g (float[2] x) => (float[2] z) { y = Relu(x) }")

    assert_refused(proto, "'z'")


def test_a_function_that_calls_itself_is_refused():
    proto = proto_of(
        """
        <ir_version: 8, opset_import: ["": 17, "own": 1]>
        g (float[2] x) => (float[2] y) { y = own.F(x) }
        <domain: "own", opset_import: ["": 17, "own": 1]>
        F (a) => (b) { b = own.F(a) }
        """
    )

    assert_refused(proto, "'F'", "calls itself")


def test_hostile_names_are_only_text():
    proto = proto_of(CONV, w=W)
    proto.graph.node[0].name = "<script>alert(1)</script>"

    assert layers(load(proto)).layers[0].name == "<script>alert(1)</script>"


# --- tensors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [[4, 4, 3, 4], [1 << 40, 1 << 40, 3, 3], [4, 4, -3, -3]])
def test_a_payload_that_does_not_fit_its_shape_is_refused(dims):
    proto = proto_of(CONV, w=W)
    weight_of(proto).dims[:] = dims

    assert_refused(proto, "'w'")


def test_a_tensor_of_unknown_type_is_refused():
    proto = proto_of(CONV, w=W)
    weight_of(proto).data_type = 999

    assert_refused(proto, "'w'", "999")


def sparse_model(indices, dims=W.shape, values=(1.0, 2.0)) -> onnx.ModelProto:
    proto = proto_of(CONV)
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.array(values, np.float32), "w"),
            numpy_helper.from_array(np.array(indices, np.int64), "i"),
            dims,
        )
    )
    return proto


@pytest.mark.parametrize(
    "indices",
    [
        [0, 144],
        [-1, 3],
        [3, 1],
        [3, 3],
        [[0, 0, 0, 0], [4, 0, 0, 0]],
        [[0, 0, 0, -1], [1, 0, 0, 0]],
    ],
    ids=["past the end", "negative", "unsorted", "repeated", "axis past", "axis negative"],
)
def test_wrong_sparse_indices_are_refused(indices):
    assert_refused(sparse_model(indices), "'w'", "indices")


def test_a_sparse_shape_whose_product_overflows_is_refused():
    assert_refused(sparse_model([0, 1], dims=[1 << 31, 1 << 31, 4, 4]), "'w'", "--max-bytes")


@pytest.fixture
def external(tmp_path):
    """A model whose weight lies in the file ``weights`` beside it, to be spoiled."""
    path = tmp_path / "inner" / "model.onnx"
    path.parent.mkdir()
    onnx.save(
        proto_of(CONV, w=W), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    return path


def spoil(path, **entries) -> None:
    proto = onnx.load(path, load_external_data=False)
    weight = weight_of(proto)
    kept = {entry.key: entry.value for entry in weight.external_data} | entries
    del weight.external_data[:]
    for key, value in kept.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"},
        {"location": "/etc/passwd"},
        {"location": ""},
        {"location": "absent"},
        {"location": "."},
        {"offset": "1"},
        {"offset": "-1"},
        {"offset": "99999999999999999999"},
        {"offset": "x"},
        {"length": "575"},
        {"length": "-576"},
    ],
    ids=str,
)
def test_external_data_that_cannot_be_trusted_is_refused(external, entries):
    (external.parents[1] / "secret").write_bytes(W.tobytes())
    spoil(external, **entries)

    assert_refused(external, "'w'")


def test_external_data_behind_a_symbolic_link_is_refused(external):
    data = external.parent / "weights"
    data.rename(external.parents[1] / "weights")
    data.symlink_to(external.parents[1] / "weights")

    assert_refused(external, "'w'", "symbolic link")


def test_external_data_cut_short_is_refused(external):
    data = external.parent / "weights"
    data.write_bytes(data.read_bytes()[:-1])

    assert_refused(external, "'w'", "past the end")


def test_external_data_without_a_folder_is_refused(external):
    assert_refused(external.read_bytes(), "'w'", "give the model as a path")


# --- convolutions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attribute",
    [
        "strides = [0, 1]", "strides = [1]", "dilations = [0, 0]", "kernel_shape = [5, 5]",
        "kernel_shape = [3, -3]", "pads = [1, 1, 1]", "group = 3", "group = 0", "group = 2",
    ],
)  # fmt: skip
def test_a_convolution_that_makes_no_sense_is_refused(attribute):
    assert_refused(with_attribute(attribute), "conv")


@pytest.mark.parametrize("shape", [(4, 4, 3), (4, 4, 3, 3, 3), (4, 4), (4, 5, 3, 3), (0, 4, 3, 3)])
def test_a_weight_that_does_not_fit_the_input_is_refused(shape):
    assert_refused(proto_of(CONV, w=np.ones(shape, np.float32)), "conv")


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (proto_of(CONV.replace("float[", "float16["), w=W.astype(np.float16)), "float16"),
        (proto_of(CONV.replace("float[", "double["), w=W.astype(np.float64)), "float64"),
        (proto_of(CONV, w=np.full_like(W, np.nan)), "NaN"),
        (with_attribute("pads = [-1, 0, 0, 0]"), "negative padding"),
        (with_attribute("dilations = [9, 9]"), "larger than its input"),
        (
            proto_of(CONV.replace("8] x", "8] x, float[4, 4, 3, 3] w")),
            "weight is not constant",
        ),
    ],
    ids=["half", "double", "nan", "crop", "large kernel", "computed weight"],
)
def test_a_layer_that_cannot_be_planned_is_skipped_with_a_reason(proto, reason):
    found = layers(load(proto))

    assert found.layers == ()
    assert [skipped.node for skipped in found.skipped] == ["conv"]
    assert reason in found.skipped[0].reason


# --- anything at all -----------------------------------------------------------------------------

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
