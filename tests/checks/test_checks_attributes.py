"""Attributes that lead nowhere, and convolutions whose numbers fit only until they are folded."""

import pytest

from models_in_text import model_of, normal, proto_of
from refusals import CONV, W, assert_refused
from sparsepass.graph import layers
from sparsepass.passes import FoldConstants, NameNodes


@pytest.mark.parametrize("name", ["strides", "dilations", "pads", "group", "auto_pad"])
def test_an_attribute_that_refers_to_a_function_around_it_is_refused_where_there_is_none(name):
    proto = proto_of(CONV, w=W)
    proto.graph.node[0].attribute.add(name=name, ref_attr_name="other", type=7)

    assert_refused(proto, f"takes {name!r} from an attribute of a function")


def test_so_is_a_body_of_a_node():
    proto = proto_of(
        """
        g (float[2] x, bool c) => (float[2] y) {
          y = If (c) <
            then_branch = t () => (float[2] a) { a = Relu(x) },
            else_branch = e () => (float[2] b) { b = Neg(x) }
          >
        }
        """
    )
    branch = proto.graph.node[0].attribute[0]
    branch.ClearField("g")
    branch.ref_attr_name = "other"

    assert_refused(proto, "from an attribute of a function")


@pytest.mark.parametrize("count", [0, 2])
def test_a_constant_has_one_value(count):
    proto = proto_of(
        "g (float[2] x) => (float[2] y) { c = Constant<value_float = 1.0>() y = Add(x, c) }"
    )
    value = proto.graph.node[0].attribute.pop()
    proto.graph.node[0].attribute.extend([value] * count)

    assert_refused(proto, f"has {count} values")


@pytest.mark.parametrize(
    "attributes",
    ["dilations = [2]", "strides = [1]", "strides = [0, 1]", "pads = [1, 1]", "group = 3"],
)
def test_a_convolution_that_contradicts_a_computed_weight_is_skipped(attributes):
    model = model_of(
        f"""
        g (float[1, 4, 8, 8] x) => (float[1, 4, P, Q] y) {{
          v = Identity(w)
          y = Conv<{attributes}>(x, v)
        }}
        """,
        w=normal(4, 4, 3, 3),
    )
    NameNodes()(model)
    FoldConstants()(model)

    found = layers(model)

    assert not found.layers
    assert "fit" in found.skipped[0].reason
