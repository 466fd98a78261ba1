"""Calls that do not fit their function are named."""

import onnx_ir as ir
import pytest

from sparsepass.errors import ModelError
from sparsepass.passes import InlineFunctions


def test_a_call_with_more_inputs_than_its_function_is_named():
    x = ir.val("x", ir.DataType.FLOAT, [1])
    inside = ir.val("a")
    body = ir.Graph([inside], [inside], nodes=[], opset_imports={"": 17})
    function = ir.Function("local", "Same", graph=body, attributes=[])
    call = ir.node("Same", [x, x], domain="local", name="call")
    graph = ir.Graph([x], call.outputs, nodes=[call], opset_imports={"": 17, "local": 1})
    model = ir.Model(graph, ir_version=8, functions=[function])

    with pytest.raises(ModelError, match="node 'call'"):
        InlineFunctions()(model)
