"""Graphs with bodies and functions, made at random: boundaries keep what callers see of them."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models_in_text import normal
from sparsepass.cli import main
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.prepare import prepare, prepare_exactly

SHAPE = (2, 3)
UNARY = ("Identity", "Identity", "Relu", "Neg")
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]


def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@dataclass
class Scope:
    """The nodes of one graph or function, and the names that they may read."""

    draw: st.DrawFn
    prefix: str
    readable: list[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def fresh(self) -> str:
        return f"{self.prefix}{len(self.nodes)}"

    def any(self) -> str:
        return self.draw(st.sampled_from(self.readable))

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes) -> None:
        names = [f"{self.fresh()}_{i}" for i in range(outputs)]
        domain = "local" if op_type.startswith("F") else ""
        self.nodes.append(helper.make_node(op_type, inputs, names, domain=domain, **attributes))
        self.readable = [*self.readable, *names]

    def ends(self, count: int) -> list[str]:
        """Outputs of a graph: nodes of their own make them, some of them the same value."""
        names = []
        for _ in range(count):
            self.nodes.append(helper.make_node("Identity", [self.any()], [self.fresh()]))
            names.append(self.nodes[-1].output[0])
        last = self.readable[-1]
        if self.draw(st.booleans()) and any(last in node.output for node in self.nodes):
            names[0] = last
        return names

    def fill(self, depth: int, functions: int) -> None:
        for _ in range(self.draw(st.integers(1, 4))):
            kinds = ["op", "add", "call"][: 2 + bool(functions)] + ["if", "loop", "scan"][
                : depth * 3
            ]
            match self.draw(st.sampled_from(kinds)):
                case "op":
                    self.add(self.draw(st.sampled_from(UNARY)), self.any())
                case "add":
                    self.add("Add", self.any(), self.any())
                case "call":
                    name = f"F{self.draw(st.integers(0, functions - 1))}"
                    self.add(name, self.any(), self.any(), outputs=2)
                case "if":
                    bodies = [self.body("", [], functions, 2) for _ in range(2)]
                    self.add("If", "c", outputs=2, then_branch=bodies[0], else_branch=bodies[1])
                case "loop":
                    body = self.body("loop", ["state"], functions, 1)
                    self.add("Loop", "trips", "", self.any(), outputs=1, body=body)
                case "scan":
                    body = self.body("scan", ["state", "each"], functions, 2)
                    self.add("Scan", self.any(), "x3", outputs=1 + 1, body=body, num_scan_inputs=1)
                    self.readable.pop()

    def body(self, kind: str, inputs: list[str], functions: int, outputs: int) -> onnx.GraphProto:
        # Bodies side by side use the same names.
        own = [f"{self.prefix}{kind}_{name}" for name in inputs]
        inner = Scope(self.draw, f"{self.prefix}{kind}b", [*self.readable, *own])
        inner.fill(0, functions)
        ends = [value(name, *SHAPE) for name in inner.ends(outputs)]
        given = [value(name, *SHAPE) for name in own]
        if kind == "loop":
            turn, go, on = (f"{inner.prefix}_{name}" for name in ("turn", "go", "on"))
            given = [
                helper.make_tensor_value_info(turn, TensorProto.INT64, []),
                helper.make_tensor_value_info(go, TensorProto.BOOL, []),
                *given,
            ]
            inner.nodes.append(helper.make_node("Identity", [go], [on]))
            ends = [helper.make_tensor_value_info(on, TensorProto.BOOL, []), *ends]
        return helper.make_graph(inner.nodes, f"{kind} body", given, ends)


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    functions = []
    for index in range(draw(st.integers(0, 2))):
        scope = Scope(draw, f"f{index}_", ["a", "b"])
        scope.fill(0, index)
        # ONNX Runtime takes no function that does not read an input.
        scope.add("Add", "a", "b")
        ends = scope.ends(2)
        functions.append(
            helper.make_function("local", f"F{index}", ["a", "b"], ends, scope.nodes, OPSETS)
        )
    scope = Scope(draw, "m", ["x", "k"])
    scope.fill(1, len(functions))
    outputs = [value(name, "N" if draw(st.booleans()) else 2, 3) for name in scope.ends(3)]
    inputs = [
        value("x", *SHAPE),
        value("x3", 3, *SHAPE),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    constants = {"k": normal(*SHAPE, seed=1), "trips": np.array(2)}
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(scope.nodes, "main", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=OPSETS, functions=functions)
    model.ir_version = 8
    return model


def outputs_of(content: bytes, condition: bool) -> dict[str, np.ndarray]:
    feed = {"x": normal(*SHAPE), "x3": normal(3, *SHAPE, seed=2), "c": np.array(condition)}
    return runner(plain_session(content, threads=1))(feed)


def assert_same(before: ir.Model, after: ir.Model) -> None:
    old, new = ir.to_proto(before).graph, ir.to_proto(after).graph
    assert [(v.name, v.type) for v in old.output] == [(v.name, v.type) for v in new.output]
    assert {v.name for v in old.input} >= {v.name for v in new.input}
    for condition in (True, False):
        expected = outputs_of(to_bytes(before), condition)
        found = outputs_of(to_bytes(after), condition)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)


@given(models())
def test_outputs_keep_names_types_and_values(proto):
    before = load(proto)

    for step in (prepare, prepare_exactly):
        after = before.clone()
        step(after)
        assert not after.functions
        assert_same(before, after)


@given(proto=models())
def test_inline_keeps_names_types_and_values(proto, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inline")
    onnx.save(proto, folder / "m.onnx")

    with pytest.raises(SystemExit) as ended:
        main(["inline", str(folder / "m.onnx"), "-o", str(folder / "i.onnx")])

    assert not ended.value.code
    assert_same(load(proto), load(folder / "i.onnx"))
