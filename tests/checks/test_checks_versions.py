from models_in_text import proto_of
from refusals import CONV, W, assert_refused


def test_unknown_versions_are_refused():
    none, new = (proto_of(CONV, w=W) for _ in range(2))
    del none.opset_import[:]
    new.ir_version = 99

    assert_refused(none, "imports no ONNX opset")
    assert_refused(new, "IR version 99")


def test_an_operator_that_nobody_knows_is_refused():
    header = '<ir_version: 8, opset_import: ["": 17, "ai.strange": 1]>'
    strange = proto_of(header + "g (float[1] x) => (float[1] y) { [odd] y = ai.strange.Odd(x) }")
    standard = proto_of("g (float[1] x) => (float[1] y) { [odd] y = Odd(x) }")

    assert_refused(strange, "odd", "ai.strange")
    assert_refused(standard, "Odd")
