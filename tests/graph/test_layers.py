"""What is read as a layer, what is skipped, and why."""

import numpy as np
import pytest

from models_in_text import assert_same_outputs, model_of, normal, proto_of
from refusals import CONV, W, with_attribute
from sparsepass.graph import layers
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
        ("(float[2, 7] x) => (float y) { [n] y = MatMul(w, x) }", (5, 2), "left operand"),
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
