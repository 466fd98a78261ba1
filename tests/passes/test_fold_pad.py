import numpy as np
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import FoldPad

PADDED = """
g (float[1, 3, 8, 8] x) => (float[1, 4, H, W] y) {
  t = Pad(x, pads)
  y = Conv<pads = [0, 1, 0, 0]>(t, w)
}
"""
W = normal(4, 3, 3, 3)
IMAGE_PADS = np.array([0, 0, 1, 2, 0, 0, 3, 0])


def test_zero_pad_joins_the_pads_of_the_conv():
    model = model_of(PADDED, w=W, pads=IMAGE_PADS)
    before = model.clone()

    result = FoldPad()(model)

    assert result.modified
    assert op_types(model) == ["Conv"]
    assert model.graph[0].attributes.get_ints("pads") == (1, 3, 3, 0)
    assert_same_outputs(before, model)
    assert not FoldPad()(model).modified


def test_pad_given_as_attribute_joins_too():
    model = model_of(
        """
        <ir_version: 4, opset_import: ["": 9]>
        g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {
          t = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(x)
          y = Conv(t, w)
        }
        """,
        w=W,
    )
    before = model.clone()

    FoldPad()(model)

    assert op_types(model) == ["Conv"]
    assert_same_outputs(before, model)


def test_pad_with_axes_joins_too():
    text = PADDED.replace('"": 17', '"": 18').replace("Pad(x, pads)", "Pad(x, pads, , axes)")
    model = model_of(
        '<ir_version: 8, opset_import: ["": 18]>' + text,
        w=W, pads=np.array([1, 2, 3, 0]), axes=np.array([-1, 2]),
    )  # fmt: skip
    before = model.clone()

    FoldPad()(model)

    assert op_types(model) == ["Conv"]
    assert_same_outputs(before, model)


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        (PADDED.replace("Pad(", 'Pad<mode = "reflect">('), {"pads": IMAGE_PADS}),
        (PADDED.replace("pads)", "pads, one)"), {"pads": IMAGE_PADS, "one": np.float32(1)}),
        (PADDED, {"pads": np.array([0, 0, -1, 0, 0, 0, 0, 0])}),
        (
            PADDED.replace("float[1, 3", "float[1, 2"),
            {"pads": np.array([0, 1, 0, 0, 0, 0, 0, 0])},
        ),
        (
            PADDED.replace("pads = [0, 1, 0, 0]", 'auto_pad = "SAME_UPPER"'),
            {"pads": IMAGE_PADS},
        ),
    ],
    ids=["reflect", "ones", "crop", "channels", "auto_pad"],
)
def test_other_pads_are_kept(text, constants):
    model = model_of(text, w=W, **constants)

    assert not FoldPad()(model).modified


def test_pad_with_another_reader_stays_for_that_reader():
    model = model_of(
        PADDED.replace("W] y)", "W] y, float[1, 3, P, Q] z)").replace("w)", "w)\n  z = Relu(t)"),
        w=W, pads=IMAGE_PADS,
    )  # fmt: skip
    before = model.clone()

    FoldPad()(model)

    assert op_types(model) == ["Pad", "Conv", "Relu"]
    assert_same_outputs(before, model)


@pytest.mark.parametrize("sizes", [[0, 0, 1, 1], [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]])
def test_a_pad_of_another_rank_is_kept(sizes):
    text = PADDED.replace("Pad(x, pads)", f"Pad<pads = {sizes}>(x)")
    model = model_of('<ir_version: 8, opset_import: ["": 10]>' + text, w=W)

    assert not FoldPad()(model).modified


def test_pads_of_another_rank_than_the_weight_are_kept():
    model = model_of(PADDED.replace("[0, 1, 0, 0]", "[0, 1]"), w=W, pads=IMAGE_PADS)

    assert not FoldPad()(model).modified
