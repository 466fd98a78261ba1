"""Which networks keep the images of a batch apart."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_in_text import model_of, normal, outputs_of
from sparsepass.errors import ModelError
from sparsepass.graph import batch_of, nodes_before
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import TileBatch

# What keeps images apart: an expression in x, of 4 images of 6 channels, and what it needs.
APART = {
    "convolution": "Conv<pads=[1,1,1,1]>(x, w)",
    "depthwise convolution": "Conv<group=6>(x, d)",
    "pooling": "MaxPool<kernel_shape=[2,2]>(x)",
    "global pooling": "GlobalAveragePool(x)",
    "activation": "HardSwish(x)",
    "constant for all images": "Mul(x, c)",
    "another value": "Add(x, x)",
    "channels joined": "Concat<axis=1>(x, x)",
    "rows": "Flatten(x)",
    "rows by zero": "Reshape(x, to_zero)",
    "rows by the rest": "Reshape(x, to_rest)",
    "rows by the size of the batch": "Reshape(x, to_four)",
    "classes": "Softmax<axis=1>(x)",
    "mean over the map": "ReduceMean<axes=[2,3], keepdims=0>(x)",
    "axes in another order": "Transpose<perm=[0,2,3,1]>(x)",
    "part of the channels": "Slice(x, one, three, one)",
    "padding": "Pad(x, pads)",
    "larger maps": 'Resize<mode="nearest">(x, , scales)',
    "pixels into channels": "SpaceToDepth<blocksize=2>(x)",
    "normalisation": "LRN<size=3>(x)",
    "product of the last axis": "MatMul(x, m)",
    "halves of the channels": "Gather<axis=1>(x, one)",
    "largest class": "ArgMax<axis=1>(x)",
}
# What does not, and a word of the reason.
MIXED = {
    "mean over the batch": ("ReduceMean<axes=[0,1]>(x)", "mixes"),
    "mean over all": ("ReduceMean(x)", "mixes"),
    "batch joined": ("Concat<axis=0>(x, x)", "mixes"),
    "batch flattened": ("Flatten<axis=2>(x)", "mixes"),
    "batch into channels": ("Reshape(x, to_one)", "mixes"),
    "batch moved": ("Transpose<perm=[1,0,2,3]>(x)", "mixes"),
    "batch reversed": ("Transpose(x)", "mixes"),
    "softmax over the batch": ("Softmax<axis=0>(x)", "mixes"),
    "softmax over the batch from the end": ("Softmax<axis=-4>(x)", "mixes"),
    "part of the batch": ("Slice(x, one, three, zero)", "mixes"),
    "one image": ("Gather<axis=0>(x, one)", "mixes"),
    "padded batch": ("Pad(x, more)", "mixes"),
    "a constant for each image": ("Add(x, own)", "a constant differs"),
    "a constant joined": ("Concat<axis=1>(x, own)", "a constant differs"),
    "sizes": ("Shape(x)", "it may mix images"),
    "training": ("Dropout(x, half, yes)", "training mode"),
    "random numbers": ("RandomNormalLike(x)", "random numbers"),
    "weights of each image": ("Conv(x, x)", "a parameter differs"),
}
CONSTANTS = {
    "w": normal(4, 6, 3, 3),
    "d": normal(6, 1, 3, 3),
    "c": normal(6, 1, 1),
    "m": normal(6, 5),
    "own": normal(4, 6, 6, 6),
    "one": np.array([1], np.int64),
    "three": np.array([3], np.int64),
    "zero": np.array([0], np.int64),
    "to_zero": np.array([0, -1], np.int64),
    "to_rest": np.array([-1, 36, 6], np.int64),
    "to_four": np.array([4, 216], np.int64),
    "to_one": np.array([1, 24, 6, 6], np.int64),
    "pads": np.array([0, 0, 1, 1, 0, 0, 2, 2], np.int64),
    "more": np.array([1, 0, 0, 0, 0, 0, 0, 0], np.int64),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "half": np.array(0.5, np.float32),
    "yes": np.array(True),
}


def network(expression: str, batch: int | str = 4) -> ir.Model:
    text = f"""
    g (float[{batch}, 6, 6, 6] x) => (float[a] y) {{
      [node] t = {expression}
      [cast] y = Cast<to=1>(t)
    }}"""
    needed = {k: v for k, v in CONSTANTS.items() if k in expression}
    model = model_of(text, **needed)
    model.graph.outputs[0].shape = None
    return model


def reason(model: ir.Model, micro_batch: int = 2) -> str | None:
    batch = batch_of(model)
    return batch if isinstance(batch, str) else batch.refuse(micro_batch, ["y"])


@pytest.mark.parametrize("name", APART)
def test_operators_that_keep_images_apart(name):
    assert reason(network(APART[name])) is None


@pytest.mark.parametrize("name", APART)
def test_groups_of_images_give_what_the_batch_gives(name):
    model = network(APART[name])
    tiled = model.clone()

    assert TileBatch(batch_of(model), 2)(tiled).modified

    np.testing.assert_array_equal(outputs_of(tiled)["y"], outputs_of(model)["y"])


@pytest.mark.parametrize("name", MIXED)
def test_operators_that_may_mix_images(name):
    expression, words = MIXED[name]

    assert words in reason(network(expression))


@pytest.mark.parametrize("name", sorted(set(APART) - {"rows by the size of the batch"}))
def test_an_open_batch_is_judged_alike(name):
    model = network(APART[name], batch="N")

    assert reason(model, micro_batch=1) is None
    assert "open" in reason(model, micro_batch=2)


def test_a_literal_is_no_open_batch():
    assert "names the size" in reason(network("Reshape(x, to_four)", batch="N"), micro_batch=1)


@pytest.mark.parametrize("micro_batch", [3, 4, 8])
def test_groups_divide_the_batch(micro_batch):
    assert "several groups" in reason(network("Relu(x)"), micro_batch)


def test_what_depends_on_no_input_has_no_images():
    model = model_of("g (float[4, 3] x) => (float[4, 3] y) { y = Relu(c) }", c=normal(4, 3))

    assert "same for all" in reason(model)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("float[4, 3] x, float[2, 3] z", "different batches"),
        ("float[N, 3] x, float[M, 3] z", "different batches"),
        ("float[4, 3] x, float z", "no axis"),
        ("float[4, K] x", "open sizes"),
    ],
)
def test_inputs_without_a_common_batch_are_refused(inputs, words):
    assert words in reason(model_of(f"g ({inputs}) => (float[4, 3] y) {{ y = Relu(x) }}"))


def test_images_that_meet_another_axis_are_mixed():
    text = """g (float[4, 4] x) => (float[4, 4] y) {
      v = ReduceMax<axes=[1], keepdims=0>(x) y = Add(x, v) }"""

    assert "mixes" in reason(model_of(text))


def test_the_reason_is_that_of_the_first_operator_on_the_way():
    text = """g (float[4, 3] x) => (float[4, 3] y) {
      [first] a = Softmax<axis=0>(x) [second] b = Exp(a) [third] y = CumSum(b, i) }"""

    assert "first" in reason(model_of(text, i=np.array(0, np.int64)))


def test_a_point_is_found_where_one_value_is_all_that_goes_on():
    text = """g (float[4, 3] x) => (float[4, 3] y) {
      a = Relu(x) b = Exp(a) c = Add(a, b) d = Neg(c) y = Add(d, c) }"""
    graph = model_of(text).graph
    made = {value.name: value for node in graph for value in node.outputs}

    found = {name: nodes_before(graph, value) for name, value in made.items()}

    assert [name for name, nodes in found.items() if nodes] == ["a", "c", "y"]
    assert [node.outputs[0].name for node in found["c"]] == ["a", "b", "c"]


BLOCKS = st.sampled_from(
    ["Relu({0})", "Conv<pads=[1,1,1,1]>({0}, w)", "Add({0}, {1})", "Mul({0}, c)", "Add({0}, own)",
     "Concat<axis=1>({0}, {1})", "Concat<axis=0>({0}, {1})", "Softmax<axis=1>({0})",
     "Softmax<axis=0>({0})", "Transpose<perm=[1,0,2,3]>({0})", "Transpose<perm=[0,1,3,2]>({0})",
     "ReduceMean<axes=[2]>({0})", "ReduceMean<axes=[0]>({0})", "Sub({1}, {0})"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    blocks=st.lists(
        st.tuples(BLOCKS, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6
    ),
    micro_batch=st.sampled_from([1, 2]),
)
def test_whatever_is_not_refused_gives_the_same_outputs(blocks, micro_batch):
    names, lines = ["x"], []
    for index, (block, first, second) in enumerate(blocks):
        operands = names[first % len(names)], names[second % len(names)]
        lines.append(f"v{index} = {block.format(*operands)}")
        names.append(f"v{index}")
    text = f"g (float[4, 4, 4, 4] x) => (float[a] y) {{ {' '.join(lines)} y = Abs({names[-1]}) }}"
    constants = {"w": normal(4, 4, 3, 3), "c": normal(4, 1, 1), "own": normal(4, 4, 4, 4)}
    model = model_of(text, **constants)
    model.graph.outputs[0].shape = None
    batch = batch_of(model)
    if isinstance(batch, str) or batch.refuse(micro_batch, ["y"]):
        return
    expected = runnable(model)
    if expected is None:
        return
    tiled = model.clone()

    assert TileBatch(batch, micro_batch)(tiled).modified

    np.testing.assert_array_equal(outputs_of(tiled)["y"], expected)


def runnable(model: ir.Model) -> np.ndarray | None:
    """The output, or None where shapes that were drawn do not fit each other."""
    try:
        return runner(plain_session(to_bytes(model), threads=1))({"x": normal(4, 4, 4, 4)})["y"]
    except ModelError:
        return None
