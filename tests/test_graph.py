import math

import networkx as nx
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from models_in_text import assert_same_outputs, model_of, normal, proto_of
from sparsepass.graph import fusions, layers, layout_graph
from sparsepass.layer import Epilogue
from sparsepass.model import load, to_bytes
from sparsepass.passes import (
    CompactChannels,
    ConstantInputs,
    FoldBatchNorm,
    FoldConstants,
    FoldPad,
    FoldScale,
    InlineFunctions,
    NameNodes,
    RemoveUnused,
)
from sparsepass.shapes import infer

REAL = {
    "alexnet-pruned-l1-top1_56.3-convtrunk": 5,
    "mediapipe-face-fullrange-sparse": 91,
    "mobilenet-edgetpu-0.75-224-imagenet": 59,
    "resnet20-cifar10": 20,
    "resnet50v2-trunk-stage3-imagenet": 43,
    "resnet56-cifar10": 56,
    "squeezenet1.0-pruned-deepcompression-imagenet": 26,
    "squeezenet1.1-imagenet": 26,
    "ultraface-rfb-320": 52,
}


def only_layer(text: str, **initializers):
    found = layers(model_of(text, **initializers))
    assert found.skipped == ()
    (layer,) = found.layers
    return layer


def epilogues(text: str, **initializers) -> dict[str, Epilogue]:
    return {layer.name: layer.epilogue for layer in layers(model_of(text, **initializers)).layers}


# --- layers --------------------------------------------------------------------------------------


def test_a_grouped_dilated_convolution_is_read_whole():
    weight, bias = normal(6, 2, 3, 1), normal(6, seed=1)

    layer = only_layer(
        """
        g (float[2, 4, 9, 8] x) => (float[2, 6, P, Q] y) {
          [c] y = Conv<group = 2, strides = [2, 1],
                       dilations = [2, 1], pads = [1, 0, 2, 1]>(x, w, b)
        }
        """,
        w=weight, b=bias,
    )  # fmt: skip

    assert (layer.name, layer.op_type, layer.batch, layer.groups) == ("c", "Conv", 2, 2)
    assert (layer.kernel, layer.strides, layer.dilations) == ((3, 1), (2, 1), (2, 1))
    assert (layer.pads, layer.input_spatial, layer.output_spatial) == ((1, 0, 2, 1), (9, 8), (4, 9))
    np.testing.assert_array_equal(layer.weight, weight)
    np.testing.assert_array_equal(layer.bias, bias)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_padding_is_resolved_as_onnxruntime_does(mode, size, stride):
    text = f"""
    g (float[1, 2, {size}, {size}] x) => (float[1, 3, P, Q] y) {{
      [c] y = Conv<auto_pad = "{mode}", strides = [{stride}, {stride}]>(x, w)
    }}
    """
    weight = normal(3, 2, 3, 4)
    pads = list(only_layer(text, w=weight).pads)

    explicit = model_of(text.replace(f'auto_pad = "{mode}"', f"pads = {pads}"), w=weight)

    assert_same_outputs(model_of(text, w=weight), explicit)


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_other_ranks_are_read(rank):
    size = ", ".join("6" * rank)

    layer = only_layer(
        f"g (float[1, 2, {size}] x) => (float y) {{ [c] y = Conv(x, w) }}",
        w=normal(3, 2, *[3] * rank),
    )

    assert layer.output_spatial == (4,) * rank


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_a_layer_scaled_by_alpha_and_beta(transposed):
    weight, bias, x = normal(5, 7), normal(1, 5, seed=1), normal(2, 7, seed=2)

    layer = only_layer(
        f"""
        g (float[2, 7] x) => (float[2, 5] y) {{
          [fc] y = Gemm<alpha = 0.5, beta = 2.0, transB = {transposed}>(x, w, b)
        }}
        """,
        w=weight if transposed else weight.T.copy(), b=bias,
    )  # fmt: skip

    assert (layer.op_type, layer.batch, layer.kernel, layer.filters) == ("Gemm", 2, (), 5)
    np.testing.assert_array_equal(x @ layer.weight.T + layer.bias, x @ (weight.T / 2) + 2 * bias)


def test_a_matmul_counts_its_leading_axes_as_batch():
    layer = only_layer(
        "g (float[2, 3, 7] x) => (float[2, 3, 5] y) { [m] y = MatMul(x, w) }", w=normal(7, 5)
    )

    assert (layer.op_type, layer.batch, layer.weight.shape, layer.macs) == (
        "MatMul",
        6,
        (5, 7),
        210,
    )


def test_an_open_batch_is_planned_as_one():
    text = "g (float[N, 4, 8, 8] x) => (float[N, 4, 6, 6] y) { [c] y = Conv(x, w) }"

    found = [only_layer(t, w=normal(4, 4, 3, 3)) for t in (text, text.replace("N", "3"))]

    assert [layer.batch for layer in found] == [1, 3]


@pytest.mark.parametrize(
    ("text", "weight", "reason"),
    [
        ("(float[7, 2] x) => (float y) { [n] y = Gemm<transA = 1>(x, w) }", (7, 5), "transA"),
        ("(float[2, 3, 7] x) => (float y) { [n] y = MatMul(x, w) }", (2, 7, 5), "3 axes"),
        ("(float[2, 7] x) => (float y) { [n] y = MatMul(w, x) }", (5, 2), "weight is not constant"),
        ("(float[1, 7, 5, 5] x) => (float y) { [n] y = ConvTranspose(x, w) }", (7, 5, 3, 3), "tra"),
    ],
)  # fmt: skip
def test_what_is_no_layer_is_skipped_with_a_reason(text, weight, reason):
    found = layers(model_of("g " + text, w=normal(*weight)))

    assert found.layers == ()
    assert [skipped.node for skipped in found.skipped] == ["n"]
    assert reason in found.skipped[0].reason


def test_a_bias_that_differs_from_row_to_row_is_no_bias():
    found = layers(
        model_of(
            "g (float[2, 7] x) => (float[2, 5] y) { [n] y = Gemm(x, w, b) }",
            w=normal(7, 5), b=normal(2, 5),
        )
    )  # fmt: skip

    assert found.skipped[0].reason == "bias differs from row to row"


def test_a_convolution_inside_a_loop_is_skipped():
    model = load(
        proto_of(
            """
            g (bool c, float[1, 4, 8, 8] x) => (float[1, 4, 6, 6] y) {
              y = If(c) <
                then_branch = a () => (float[1, 4, 6, 6] p) { [inner] p = Conv(x, w) },
                else_branch = b () => (float[1, 4, 6, 6] q) { [other] q = Conv(x, w) }
              >
            }
            """,
            w=normal(4, 4, 3, 3),
        )
    )

    found = layers(model)

    assert {skipped.node for skipped in found.skipped} == {"inner", "other"}
    assert "control-flow" in found.skipped[0].reason


# --- fusions -------------------------------------------------------------------------------------

W = normal(4, 4, 3, 3)
SAME = "pads = [1, 1, 1, 1]"


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("Relu(t)", Epilogue(activation="Relu")),
        ("LeakyRelu<alpha = 0.25>(t)", Epilogue(activation="LeakyRelu", alpha=0.25)),
        ("Clip(t, low, high)", Epilogue(activation="Clip", low=-1.0, high=6.0)),
        ("Clip(t, , high)", Epilogue(activation="Clip", low=-math.inf, high=6.0)),
        ("Clip(t, high, low)", Epilogue()),
        ("HardSwish(t)", Epilogue(activation="HardSwish")),
        ("Sigmoid(t)", Epilogue()),
    ],
)
def test_an_activation_is_absorbed(activation, expected):
    found = epilogues(
        f"g (float[1, 4, 8, 8] x) => (float y) {{ [c] t = Conv(x, w) y = {activation} }}",
        w=W, low=np.float32(-1), high=np.float32(6),
    )  # fmt: skip

    assert found == {"c": expected}


SIXTH = "alpha = 0.16666667, beta = 0.5"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("g = Sigmoid(t) y = Mul(t, g)", "Silu"),
        ("g = Sigmoid(t) y = Mul(g, t)", "Silu"),
        (f"g = HardSigmoid<{SIXTH}>(t) y = Mul(t, g)", "HardSwish"),
        ("g = HardSigmoid(t) y = Mul(t, g)", ""),
        ("g = Sigmoid(t) y = Mul(g, g)", ""),
        ("g = Sigmoid(t) y = Add(t, g)", ""),
        ("g = Sigmoid(t) h = Relu(g) y = Mul(t, h)", ""),
        ("g = Sigmoid(x) y = Mul(t, g)", ""),
    ],
)
def test_a_product_with_its_own_gate_is_absorbed(lines, expected):
    found = epilogues(f"g (float[1, 4, 8, 8] x) => (float y) {{ [c] t = Conv(x, w) {lines} }}", w=W)

    assert found == {"c": Epilogue(activation=expected)}


@pytest.mark.parametrize("also", ["t", "g"])
def test_a_gate_that_others_see_is_not_absorbed(also):
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y, float {also}) {{
          [c] t = Conv(x, w) g = Sigmoid(t) y = Mul(t, g)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue()}


def test_what_others_see_is_not_absorbed():
    text = "g (float[1, 4, 8, 8] x) => (float y{0}) {{ [c] t = Conv(x, w) y = Relu(t) {1} }}"

    for more in [(", float t", ""), (", float z", "z = Neg(t)")]:
        assert epilogues(text.format(*more), w=W) == {"c": Epilogue()}


def test_a_residual_add_is_absorbed_by_the_later_of_two_convs():
    model = model_of(
        f"""
        g (float[N, 4, 8, 8] x) => (float y) {{
          [a] s = Conv<{SAME}>(x, w)
          [b] t = Conv<{SAME}>(x, w)
          [add] u = Add(t, s)
          [act] y = Relu(u)
        }}
        """,
        w=W,
    )

    found = fusions(model, {"a", "b"})

    assert [node.name for node in found["a"].nodes] == ["a"]
    assert [node.name for node in found["b"].nodes] == ["b", "add", "act"]
    assert found["b"].residual.name == "s"
    assert found["b"].epilogue == Epilogue(residual=True, activation="Relu")
    assert found["b"].output.name == "y"


def test_a_conv_that_cannot_absorb_leaves_the_add_to_the_other():
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y, float z) {{
          [a] s = Conv<{SAME}>(x, w)
          [b] t = Conv<{SAME}>(x, w)
          y = Add(t, s)
          z = Neg(t)
        }}
        """,
        w=W,
    )

    assert found == {"a": Epilogue(residual=True), "b": Epilogue()}


@pytest.mark.parametrize(
    "other", ["float[1, 4, 1, 1] r", "float[M, 4, 8, 8] r", "float[?, 4, 8, 8] r"]
)
def test_an_add_that_may_broadcast_is_not_absorbed(other):
    found = epilogues(
        f"""
        g (float[N, 4, 8, 8] x, {other}) => (float y) {{
          [c] t = Conv<{SAME}>(x, w)
          y = Add(t, r)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue()}


def test_an_activation_between_conv_and_add_ends_the_chain():
    found = epilogues(
        f"""
        g (float[1, 4, 8, 8] x) => (float y) {{
          [c] t = Conv<{SAME}>(x, w)
          u = Relu(t)
          y = Add(u, x)
        }}
        """,
        w=W,
    )

    assert found == {"c": Epilogue(activation="Relu")}


# --- layout --------------------------------------------------------------------------------------


def between(operator: str, channels: int) -> onnx.ModelProto:
    """Two convolutions with one operator between, of a number of channels."""
    return proto_of(
        f"""
        g (float[1, 32, 8, 8] x) => (float[1, 32, P, Q] y) {{
          [first] c = Conv(x, w1, b)
          [also] d = Conv(x, w1, b)
          [between] m = {operator}
          [last] y = Conv(m, w2, b2)
        }}
        """,
        w1=normal(channels, 32, 1, 1), w2=normal(32, channels, 1, 1), wg=normal(channels, 1, 1, 1),
        b=normal(channels, seed=1), b2=normal(32, seed=2), low=np.float32(0), high=np.float32(6),
        scales=np.array([1, 1, 2, 2], np.float32), one=np.ones(channels, np.float32),
    )  # fmt: skip


def layouts(model: ir.Model, block: int = 16) -> nx.DiGraph:
    known = infer(model)
    return layout_graph(model, layers(model, known).layers, known, block=block)


def onnxruntime_reorders(proto: onnx.ModelProto, tmp_path) -> int:
    """Count the layout changes in the graph that ONNX Runtime makes of a model."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    return sum(node.op_type.startswith("Reorder") for node in nodes)


def block_here(tmp_path) -> int | None:
    """Find the block of this machine: the fewest channels ONNX Runtime pools without a reorder."""
    pool = "MaxPool<kernel_shape = [2, 2]>(c)"
    blocks = [n for n in (8, 16) if onnxruntime_reorders(between(pool, n), tmp_path) <= 2]
    return blocks[0] if blocks else None


@pytest.mark.parametrize("channels", [32, 24])
@pytest.mark.parametrize(
    "operator",
    [
        "Relu(c)", "Clip(c, low, high)", "MaxPool<kernel_shape = [2, 2]>(c)", "Sigmoid(c)",
        "GlobalAveragePool(c)", "Add(c, d)", "Mul(c, d)", "Sub(c, d)", "Elu(c)", "LRN<size = 3>(c)",
        'Resize<mode = "linear">(c, , scales)', 'Resize<mode = "nearest">(c, , scales)',
        "Conv<group = {channels}>(c, wg, b)", "BatchNormalization(c, one, one, one, one)",
    ],
)  # fmt: skip
def test_layout_is_predicted_as_onnxruntime_has_it(operator, channels, tmp_path):
    block = block_here(tmp_path)
    if block is None:
        pytest.skip("ONNX Runtime has no blocked layout on this machine")
    proto = between(operator.format(channels=channels), channels)

    graph = layouts(load(proto), block)

    # One change at each end of the network, more only around an operator that is not blocked.
    reorders = onnxruntime_reorders(proto, tmp_path)
    assert graph.nodes["between"]["reads_blocked"] == (reorders <= 2)


def test_edges_carry_the_bytes_of_their_tensor_and_ends_are_nodes():
    graph = layouts(load(between("Relu(c)", 24)))

    assert graph.edges["first", "between"] == {"value": "c", "bytes": 4 * 24 * 64}
    assert graph.nodes["input x"]["kind"] == graph.nodes["output y"]["kind"] == "nchw"
    assert [graph.nodes[name]["kind"] for name in ("first", "between")] == ["layer", "transparent"]


def test_the_first_convolution_reads_plain_channels():
    graph = layouts(
        model_of(
            "g (float[1, 3, 8, 8] x) => (float y) { [c] y = Conv(x, w) }", w=normal(16, 3, 3, 3)
        )
    )

    assert (graph.nodes["c"]["reads_blocked"], graph.nodes["c"]["writes_blocked"]) == (False, True)


# --- real networks -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), REAL.items(), ids=list(REAL))
def test_a_real_network_keeps_its_outputs_and_shows_all_its_layers(shared, name, count):
    model = load(shared / "models" / f"{name}.onnx")
    before = to_bytes(model)
    steps = (
        InlineFunctions(), ConstantInputs(), NameNodes(), RemoveUnused(),
        FoldConstants(), FoldPad(), FoldBatchNorm(), FoldScale(),
        CompactChannels(), RemoveUnused(),
    )  # fmt: skip

    for step in steps:
        step(model)

    found = layers(model)
    assert (len(found.layers), found.skipped) == (count, ())
    assert not any(step(model).modified for step in steps)
    assert_same_outputs(before, model)
