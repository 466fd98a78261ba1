import numpy as np

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import InlineFunctions, NameNodes, RemoveUnused

WITH_FUNCTION = """
<ir_version: 8, opset_import: ["": 17, "ai.sparsepass": 1]>
g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {
  y = ai.sparsepass.ConvRelu<strides = [1, 1]>(x, w)
}
<domain: "ai.sparsepass", opset_import: ["": 17]>
ConvRelu <strides> (a, b) => (c) {
  t = Conv<strides: ints = @strides>(a, b)
  c = Relu(t)
}
"""
W = normal(4, 3, 3, 3)


def test_functions_become_standard_nodes():
    model = model_of(WITH_FUNCTION, w=W)
    before = model.clone()

    result = InlineFunctions()(model)

    assert result.modified
    assert op_types(model) == ["Conv", "Relu"]
    assert not model.functions
    assert list(model.opset_imports) == [""]
    assert_same_outputs(before, model)
    assert not InlineFunctions()(model).modified


def test_a_function_of_another_opset_stays_a_call():
    model = model_of(
        WITH_FUNCTION.replace(
            'sparsepass", opset_import: ["": 17]', 'sparsepass", opset_import: ["": 13]'
        ),
        w=W,
    )
    before = model.clone()

    InlineFunctions()(model)

    assert len(model.functions) == 1
    assert_same_outputs(before, model)


def test_nameless_and_repeated_node_names_become_unique():
    model = model_of(
        """
        g (float[4] x) => (float[4] y) {
          [a] p = Relu(x)
          [a] q = Relu(p)
          y = Relu(q)
        }
        """
    )

    result = NameNodes()(model)

    assert result.modified
    assert [node.name for node in model.graph] == ["a", "a_1", "Relu_y"]
    assert not NameNodes()(model).modified


def test_identities_and_dead_nodes_go_and_outputs_keep_their_names():
    model = model_of(
        """
        g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {
          i = Identity(x)
          t = Conv(i, w)
          dead = Relu(t)
          y = Identity(t)
        }
        """,
        w=W, unused=np.ones(3, np.float32),
    )  # fmt: skip
    before = model.clone()

    result = RemoveUnused()(model)

    assert result.modified
    assert op_types(model) == ["Conv"]
    assert list(model.graph.initializers) == ["w"]
    assert_same_outputs(before, model)
    assert not RemoveUnused()(model).modified


def test_a_graph_without_outputs_keeps_its_nodes():
    model = model_of("g (float[1] x) => () { [a] y = Identity(x) [b] z = Relu(y) }")

    RemoveUnused()(model)

    assert "Relu" in op_types(model)
