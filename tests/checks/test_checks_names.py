import numpy as np
import pytest

from models_in_text import proto_of
from refusals import CONV, W, assert_refused
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner


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


CALL = """
    <ir_version: 8, opset_import: ["": 17, "own": 1]>
    g (float[2] x) => (float[2] y) {{ [call] {call} y = Relu(a) }}
    <domain: "own", opset_import: ["": 17]>
    F (p, q) => (r, s) {{ r = Add(p, q) s = Neg(p) }}
"""


@pytest.mark.parametrize(
    "call", ["a = own.F(x, x)", "a, b, c = own.F(x, x)", "a, b = own.F(x, x, x)"]
)
def test_a_call_that_does_not_fit_its_function_is_refused(call):
    assert_refused(proto_of(CALL.format(call=call)), "F 'call'", "its function 2 and 2")


@pytest.mark.parametrize("outputs", [["a", ""], ["", "a"]])
def test_a_call_may_leave_an_output_without_a_name(outputs):
    proto = proto_of(CALL.format(call="a, b = own.F(x, x)"))
    proto.graph.node[0].output[:] = outputs
    feeds = {"x": np.array([1, -2], np.float32)}
    before = runner(plain_session(proto.SerializeToString()))(feeds)

    found = runner(plain_session(to_bytes(load(proto))))(feeds)

    np.testing.assert_array_equal(found["y"], before["y"])
