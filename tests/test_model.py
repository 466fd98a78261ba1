import os
import stat
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from models_in_text import HEADER, assert_same_outputs, model_of, normal, outputs_of, proto_of
from sparsepass.errors import ModelError, UsageError
from sparsepass.model import load, save, to_bytes
from sparsepass.shapes import concrete_shapes, input_shapes, parse_shape

CONV = "g (float[N, 3, 8, 8] x) => (float[N, 4, 6, 6] y) { y = Conv(x, w) }"
OPEN_IMAGE = "g (float[N, 3, H, W] x) => (float[N, 4, P, Q] y) { y = Conv(x, w) }"
W = normal(4, 3, 3, 3)


@pytest.fixture
def proto() -> onnx.ModelProto:
    return proto_of(CONV, w=W)


def test_every_kind_of_source_gives_the_same_model(proto, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    sources = [path, str(path), path.read_bytes(), proto, ir.from_proto(proto)]

    files = {to_bytes(load(source)) for source in sources}

    assert len(files) == 1


def test_the_source_is_not_changed(proto):
    source = ir.from_proto(proto)

    load(source).graph[0].op_type = "Changed"

    assert source.graph[0].op_type == "Conv"
    assert proto == proto_of(CONV, w=W)


def test_versions_of_the_source_are_kept(proto):
    model = load(proto)

    assert model.ir_version == proto.ir_version
    assert model.opset_imports == {"": 17}


def test_a_sparse_initializer_becomes_dense(proto):
    weight = np.where(W > 1, W, 0)
    indices = np.flatnonzero(weight)
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(weight.reshape(-1)[indices], "w"),
        numpy_helper.from_array(indices, "i"),
        weight.shape,
    )
    del proto.graph.initializer[:]
    proto.graph.sparse_initializer.append(sparse)

    model = load(proto)

    np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), weight)
    assert_same_outputs(proto.SerializeToString(), model)


def test_a_sparse_initializer_may_have_one_index_per_axis(proto):
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([5, 7], np.float32), "w"),
        numpy_helper.from_array(np.array([[0, 0, 0, 1], [3, 2, 2, 2]]), "i"),
        W.shape,
    )
    del proto.graph.initializer[:]
    proto.graph.sparse_initializer.append(sparse)

    weight = load(proto).graph.initializers["w"].const_value.numpy()

    assert np.argwhere(weight).tolist() == [[0, 0, 0, 1], [3, 2, 2, 2]]


def test_nodes_out_of_order_are_sorted():
    proto = proto_of("g (float[2] x) => (float[2] y) { t = Relu(x) y = Neg(t) }")
    proto.graph.node.reverse()

    model = load(proto)

    assert [node.op_type for node in model.graph] == ["Relu", "Neg"]


def test_external_data_beside_the_model_is_read_and_taken_in(proto, tmp_path):
    path = tmp_path / "model.onnx"
    expected = outputs_of(proto.SerializeToString())["y"]
    onnx.save(proto, path, save_as_external_data=True, location="weights", size_threshold=0)

    model = load(path)

    np.testing.assert_array_equal(outputs_of(to_bytes(model))["y"], expected)


@pytest.mark.parametrize("location", ["weights", "folder/weights"])
def test_large_external_weights_are_taken_in_while_others_hold_them(location, tmp_path):
    weight = normal(64, 64, 3, 3)
    proto = proto_of(
        "g (float[1, 64, 4, 4] x) => (float[1, 64, 2, 2] y) { y = Conv(x, w) }", w=weight
    )
    expected = outputs_of(proto.SerializeToString())["y"]
    path = tmp_path / "model.onnx"
    (tmp_path / location).parent.mkdir(exist_ok=True)
    onnx.save(proto, path, save_as_external_data=True, location=location, size_threshold=0)
    model = load(path)
    held = model.graph.initializers["w"].const_value.numpy()

    contents = [to_bytes(model), to_bytes(model)]

    np.testing.assert_array_equal(held, weight)
    for content in contents:
        np.testing.assert_array_equal(outputs_of(content)["y"], expected)


def test_a_torch_module_is_exported_in_evaluation_mode_and_left_as_it_was():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    module.train()
    x = torch.from_numpy(normal(1, 3, 8, 8))

    model = load(module, example_inputs=(x,))

    assert module.training
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    (actual,) = outputs_of(model).values()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=27 * np.finfo(np.float32).eps * 4)


def test_a_torch_module_without_inputs_is_a_usage_error():
    torch = pytest.importorskip("torch")

    with pytest.raises(UsageError, match="example_inputs"):
        load(torch.nn.ReLU())


# --- sizes ---------------------------------------------------------------------------------------


def test_shape_text_is_read_and_names_may_have_colons():
    assert parse_shape("data:0:1,3,224,224") == ("data:0", (1, 3, 224, 224))


@pytest.mark.parametrize("text", ["", "x", "x:", ":1,2", "x:1,,2", "x:0,3", "x:-1,3", "x:a"])
def test_anything_else_is_no_shape(text):
    with pytest.raises(UsageError, match="name:1,3,224,224"):
        parse_shape(text)


def test_an_open_batch_is_planned_as_one_and_stays_open():
    model = load(proto_of(CONV, w=W))

    sizes = concrete_shapes(model)

    assert sizes["y"] == (1, 4, 6, 6)
    assert str(model.graph.inputs[0].shape[0]) == "N"


def test_given_sizes_reach_every_value():
    model = load(proto_of(OPEN_IMAGE, w=W), shapes={"x": (2, 3, 16, 12)})

    assert concrete_shapes(model, {"x": (2, 3, 16, 12)})["y"] == (2, 4, 14, 10)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "give --shape x:"),
        ({"z": (1, 3, 8, 8)}, "no such input"),
        ({"x": (1, 5, 8, 8)}, "contradicts"),
        ({"x": (1, 3, 8)}, "contradicts"),
    ],
)
def test_wrong_or_absent_sizes_are_usage_errors(shapes, message):
    model = load(proto_of(OPEN_IMAGE, w=W))

    with pytest.raises(UsageError, match=message):
        input_shapes(model, shapes)


def test_recorded_sizes_of_another_batch_do_not_count():
    proto = proto_of(CONV, w=W)
    proto.graph.value_info.append(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [7, 4, 6, 6])
    )

    assert concrete_shapes(load(proto), {"x": (2, 3, 8, 8)})["y"] == (2, 4, 6, 6)


def test_constants_among_the_inputs_need_no_size():
    model = model_of(
        "g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[1, 4, 6, 6] y) { y = Conv(x, w) }",
        w=W,
    )

    assert input_shapes(model) == {"x": (1, 3, 8, 8)}


# --- saving --------------------------------------------------------------------------------------


def test_a_saved_model_is_read_back_the_same(proto, tmp_path):
    model = load(proto)

    save(model, tmp_path / "out.onnx")

    assert to_bytes(load(tmp_path / "out.onnx")) == to_bytes(model)
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]


def test_node_metadata_does_not_raise_the_ir_version():
    model = model_of('<ir_version: 7, opset_import: ["": 17]>' + CONV, w=W)
    model.graph[0].metadata_props["pkg.sparsepass.algorithm"] = "dense"

    written = onnx.load_from_string(to_bytes(model))

    onnx.checker.check_model(written)
    assert written.ir_version == 7
    assert written.graph.node[0].metadata_props[0].value == "dense"


def test_functions_raise_the_ir_version():
    text = '<ir_version: 7, opset_import: ["": 17]>' + CONV
    model = model_of(text, w=W)
    function = onnx.parser.parse_function(
        '<domain: "own", opset_import: ["": 17]> F (a) => (b) { b = Relu(a) }'
    )
    model.functions["own", "F", ""] = ir.serde.deserialize_function(function)

    assert onnx.load_from_string(to_bytes(model)).ir_version == 8
    assert model.ir_version == 7


def save_in_two(model: ir.Model, path: Path, monkeypatch) -> None:
    """Save a model as if it were above the limit."""
    with monkeypatch.context() as patch:
        patch.setattr("sparsepass.model.STRUCTURE_ROOM", 1 << 31)
        save(model, path)


def test_weights_above_the_limit_go_into_a_file_beside(proto, tmp_path, monkeypatch):
    model = load(ir.from_proto(proto))

    save_in_two(model, tmp_path / "out.onnx", monkeypatch)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.onnx", "out.onnx.data"]
    assert_same_outputs(proto.SerializeToString(), load(tmp_path / "out.onnx"))


def test_weights_beside_are_replaced_with_their_model_or_not_at_all(proto, tmp_path, monkeypatch):
    target, replace = tmp_path / "out.onnx", os.replace
    other = proto_of(CONV, w=W + 1)
    save_in_two(load(ir.from_proto(proto)), target, monkeypatch)

    def cut_short(source, place):
        if Path(place) == target:
            raise OSError(28, "No space left on device")
        replace(source, place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut_short)
        with pytest.raises(UsageError, match="No space left"):
            save_in_two(load(ir.from_proto(other)), target, monkeypatch)
    assert_same_outputs(proto.SerializeToString(), load(target))

    save_in_two(load(ir.from_proto(other)), target, monkeypatch)

    assert_same_outputs(other.SerializeToString(), load(target))
    assert not (tmp_path / "out.onnx.data").exists()


def test_weights_that_a_model_is_read_from_stay(tmp_path, monkeypatch):
    proto = proto_of(CONV.replace("3, 8", "32, 8").replace("N, 4", "N, 64"), w=normal(64, 32, 3, 3))
    content = proto.SerializeToString()
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(proto, source, save_as_external_data=True, location="out.onnx.data", size_threshold=0)
    target.write_bytes(source.read_bytes())

    save_in_two(load(source), target, monkeypatch)

    assert_same_outputs(content, load(source))
    assert_same_outputs(content, load(target))


def test_a_failed_save_leaves_the_old_file_and_nothing_else(proto, tmp_path, monkeypatch):
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        save(load(proto), target)

    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]


def test_a_symbolic_link_is_replaced_not_followed(proto, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / "out.onnx").symlink_to(elsewhere)

    save(load(proto), tmp_path / "out.onnx")

    assert elsewhere.read_bytes() == b"precious"
    assert not (tmp_path / "out.onnx").is_symlink()


def test_the_source_may_be_overwritten(proto, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)

    save(load(path), path)

    assert to_bytes(load(path)) == to_bytes(load(proto))


@pytest.mark.parametrize("target", [".", "absent/out.onnx"])
def test_an_unwritable_target_is_a_usage_error(proto, tmp_path, target):
    with pytest.raises(UsageError, match=r"choose another folder|give a file name"):
        save(load(proto), tmp_path / target)


def test_a_saved_file_is_readable_like_any_other(proto, tmp_path):
    save(load(proto), tmp_path / "out.onnx")
    (tmp_path / "plain").write_bytes(b"")

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out.onnx", "plain")]

    assert modes[0] == modes[1]


def test_a_newer_opset_than_onnxruntime_takes_is_refused():
    newest = onnx.defs.onnx_opset_version() + 50
    proto = proto_of(HEADER.replace("17", str(newest)) + CONV, w=W)

    with pytest.raises(ModelError, match="too new for onnxruntime"):
        load(proto)
