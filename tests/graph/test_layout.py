"""Which nodes run in ONNX Runtime's blocked layout: as predicted, and as it says itself."""

import networkx as nx
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from models_in_text import model_of, normal, proto_of
from sparsepass.graph import layers, layout_graph
from sparsepass.model import load
from sparsepass.shapes import infer


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


def layouts(model: ir.Model, block: int = 16) -> nx.MultiDiGraph:
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

    assert graph.edges["first", "between", "c"] == {"value": "c", "bytes": 4 * 24 * 64}
    assert graph.nodes["input x"]["kind"] == graph.nodes["output y"]["kind"] == "nchw"
    assert [graph.nodes[name]["kind"] for name in ("first", "between")] == ["layer", "transparent"]


def test_the_first_convolution_reads_plain_channels():
    graph = layouts(
        model_of(
            "g (float[1, 3, 8, 8] x) => (float y) { [c] y = Conv(x, w) }", w=normal(16, 3, 3, 3)
        )
    )

    assert (graph.nodes["c"]["reads_blocked"], graph.nodes["c"]["writes_blocked"]) == (False, True)


def test_every_tensor_between_two_nodes_counts():
    model = model_of(
        """
        <ir_version: 8, opset_import: ["": 17]>
        g (float[1, 32, 8, 8] x) => (float[1, 32, 8, 8] y) {
          [parts] a, b = Split<axis = 1>(x)
          [sum] s = Concat<axis = 1>(a, b, a)
          [last] y = Conv(s, w)
        }
        """,
        w=normal(32, 48, 1, 1),
    )

    graph = layouts(model)

    edges = graph.get_edge_data("parts", "sum")
    assert {value: data["bytes"] for value, data in edges.items()} == {
        "a": 4 * 16 * 64,
        "b": 4 * 16 * 64,
    }
