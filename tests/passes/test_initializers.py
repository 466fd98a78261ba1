"""New names and constants of a graph."""

import numpy as np
import pytest

from models_in_text import model_of, normal
from sparsepass.coded import CodedWeight
from sparsepass.passes import FoldBatchNorm, QuantizeWeights, SetWeights
from sparsepass.passes.initializers import Names

LAYERS = 5
CODED = CodedWeight(np.ones((4, 4, 1, 1), np.int8), np.ones((4, 1, 1, 1), np.float32))
GIVEN = np.ones((4, 4, 1, 1), np.float32), np.ones(4, np.float32)
PASSES = [
    FoldBatchNorm(),
    QuantizeWeights({f"w{i}": CODED for i in range(LAYERS)}),
    SetWeights({f"conv{i}": GIVEN for i in range(LAYERS)}, {}),
]


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_names_of_a_graph_are_read_once_for_all_layers(step, monkeypatch):
    lines = [
        f"[conv{i}] c{i} = Conv(x{i}, w{i})\n"
        f"[norm{i}] x{i + 1} = BatchNormalization(c{i}, p{i}, p{i}, p{i}, p{i})"
        for i in range(LAYERS)
    ]
    text = f"""
    <ir_version: 9, opset_import: ["": 17]>
    g (float[1, 4, 8, 8] x0) => (float[1, 4, 8, 8] x{LAYERS}) {{ {" ".join(lines)} }}
    """
    weights = {f"w{i}": normal(4, 4, 1, 1) for i in range(LAYERS)}
    model = model_of(text, **weights, **{f"p{i}": np.ones(4, np.float32) for i in range(LAYERS)})
    read, walk = [], Names.__init__

    def counted(names, graph):
        read.append(graph)
        walk(names, graph)

    monkeypatch.setattr(Names, "__init__", counted)

    assert step(model).modified

    assert len(read) == 1
