import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types, outputs_of
from sparsepass.graph import batch_of
from sparsepass.model import load, to_bytes
from sparsepass.passes import TileBatch, UntileBatch

NETWORK = """
g (float[{batch}, 3, 8, 8] x) => (float[{batch}, 10] y) {{
  [conv1] a = Conv<pads=[1,1,1,1]>(x, w1)
  [relu1] r = Relu(a)
  [conv2] c = Conv<pads=[1,1,1,1]>(r, w2)
  [add] s = Add(c, r)
  [relu2] t = Relu(s)
  [pool] p = GlobalAveragePool(t)
  [flat] f = Flatten(p)
  [fc] y = Gemm(f, w3)
}}
"""


def network(batch: int | str) -> ir.Model:
    weights = {"w1": normal(32, 3, 3, 3), "w2": normal(32, 32, 3, 3), "w3": normal(32, 10)}
    return model_of(NETWORK.format(batch=batch), **weights)


def tiled(model: ir.Model, micro_batch: int, until: str | None = None) -> ir.Model:
    copy = model.clone()
    assert TileBatch(batch_of(model), micro_batch, until)(copy).modified
    return copy


def body_of(model: ir.Model) -> ir.Graph:
    return next(n for n in model.graph if n.op_type == "Scan").attributes["body"].as_graph()


@pytest.mark.parametrize("until", [None, "r", "t", "p"])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_groups_of_a_fixed_batch_give_what_the_batch_gives(micro_batch, until):
    model = network(6)

    after = tiled(model, micro_batch, until)

    onnx.checker.check_model(onnx.load_from_string(to_bytes(after)), full_check=True)
    assert_same_outputs(to_bytes(model), after)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_single_images_of_an_open_batch_make_every_batch(batch):
    model = network("N")

    after = tiled(model, 1)

    np.testing.assert_allclose(
        outputs_of(after, batch=batch)["y"], outputs_of(model, batch=batch)["y"], rtol=1e-5
    )


def test_names_and_shapes_of_inputs_and_outputs_are_kept():
    after = tiled(network("N"), 1)

    assert [str(v.shape) for v in after.graph.inputs] == ["[N,3,8,8]"]
    assert [(v.name, str(v.shape)) for v in after.graph.outputs] == [("y", "[N,10]")]


def test_constants_are_inside_with_the_nodes():
    after = tiled(network(4), 2)

    assert op_types(after) == ["Reshape", "Scan", "Reshape"]
    assert set(body_of(after).initializers) == {"w1", "w2", "w3"}


def test_up_to_a_point_the_rest_stays_outside():
    after = tiled(network(4), 2, until="t")

    assert op_types(after) == ["Reshape", "Scan", "Reshape", "GlobalAveragePool", "Flatten", "Gemm"]
    assert set(body_of(after).initializers) == {"w1", "w2"}


def test_a_constant_of_both_parts_is_in_both():
    text = "g (float[4, 3] x) => (float[4, 3] y) { a = Mul(x, c) y = Mul(a, c) }"
    model = model_of(text, c=normal(3))

    after = tiled(model, 1, until="a")

    onnx.checker.check_model(onnx.load_from_string(to_bytes(after)), full_check=True)
    assert_same_outputs(to_bytes(model), after)


def test_several_inputs_and_outputs():
    text = """g (float[4, 3] p, float[4, 2] q) => (float[4, 3] y, int64[4] label, float[4, 5] z) {
      y = Relu(p) z = Concat<axis=1>(y, q) label = ArgMax<axis=1, keepdims=0>(z) }"""
    model = model_of(text)

    after = tiled(model, 2)

    onnx.checker.check_model(onnx.load_from_string(to_bytes(after)), full_check=True)
    assert_same_outputs(to_bytes(model), after)


def test_names_that_are_taken_are_left_to_their_owners():
    text = """g (float[4, 3] x) => (float[4, 3] y) {
      x.tile = Relu(x) x.tiles = Neg(x.tile) y.tile = Exp(x.tiles) y = Abs(y.tile) }"""
    model = model_of(text.replace(".", "_"))
    for node in model.graph:
        for value in node.outputs:
            value.name = value.name.replace("_", ".")

    after = tiled(model, 2)

    onnx.checker.check_model(onnx.load_from_string(to_bytes(after)), full_check=True)
    assert_same_outputs(to_bytes(model), after)


@pytest.mark.parametrize(
    ("text", "micro_batch", "until", "words"),
    [
        ("{ y = Softmax<axis=0>(x) }", 2, None, "mixes"),
        ("{ y = Relu(x) }", 3, None, "several groups"),
        ("{ a = Relu(x) b = Exp(a) y = Add(a, b) }", 2, "b", "all that connects"),
        ("{ a = Relu(x) b = Exp(a) y = Add(a, b) }", 2, "nothing", "all that connects"),
    ],
)
def test_what_cannot_be_done_is_left_alone(text, micro_batch, until, words):
    model = model_of(f"g (float[4, 3] x) => (float[4, 3] y) {text}")
    before = to_bytes(model)
    step = TileBatch(batch_of(model), micro_batch, until)

    assert words in step.refuse(model)
    assert not step(model).modified
    assert to_bytes(model) == before


def test_onnx_runtime_fuses_and_blocks_convolutions_inside(tmp_path):
    model = tiled(network(4), 1)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4

    ort.InferenceSession(to_bytes(model), options, ["CPUExecutionProvider"])

    graph = onnx.load(tmp_path / "optimized.onnx").graph
    scan = next(node for node in graph.node if node.op_type == "Scan")
    body = next(a.g for a in scan.attribute if a.name == "body")
    convolutions = [node for node in body.node if node.op_type == "Conv"]
    assert [node.domain for node in convolutions] == ["com.microsoft.nchwc"] * 2
    # Of the second with the residual Add and the Relu.
    assert "Add" not in {node.op_type for node in body.node}
    assert "Relu" not in {node.op_type for node in body.node}


# --- the way back --------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "until"), [(4, None), (4, "t"), ("N", None), ("N", "t")])
def test_unwrapping_gives_the_network_back(batch, until):
    model = network(batch)
    wrapped = load(to_bytes(tiled(model, 1, until)))

    assert UntileBatch()(wrapped).modified

    onnx.checker.check_model(onnx.load_from_string(to_bytes(wrapped)), full_check=True)
    assert op_types(wrapped) == op_types(model)
    assert_same_outputs(to_bytes(model), wrapped)
    assert not UntileBatch()(wrapped).modified


def test_a_literal_batch_is_forgotten_inside():
    text = "g (float[4, 3, 2] x) => (float[4, 6] y) { [rows] y = Reshape(x, sizes) }"
    model = model_of(text, sizes=np.array([4, 6], np.int64))

    after = tiled(model, 2)

    assert_same_outputs(to_bytes(model), after)
    assert UntileBatch()(after).modified
    assert_same_outputs(to_bytes(model), after)


def test_loops_of_others_are_left_alone():
    wrapped = tiled(network(4), 2)
    body_of(wrapped).name = "mine"

    assert not UntileBatch()(wrapped).modified
