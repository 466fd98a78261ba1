"""Convolutions become sums of structured ones; the outputs stay those of the sum."""

from itertools import pairwise

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of, normal
from sparsepass.algorithms import Term
from sparsepass.approximation import series_terms
from sparsepass.errors import PlanError
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes.split_convolutions import Split, SplitConvolutions

NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 32, 9, 9] x) => (float[N, 6, 5, 5] y) {
        [conv] y = Conv<pads = [1, 1, 1, 1], strides = [2, 2], group = 2>(x, w, b)
    }
"""
SERIES = ((1, 4), (1, 8), (2, 16))


def problem(series=SERIES):
    """A network whose weight is the sum of the terms of a series, and these terms."""
    rows = normal(6, 16 * 9)
    terms = [term.reshape(6, 16, 3, 3) for term in series_terms(rows, 16, series)]
    bias = normal(6, seed=1)
    split = Split([Term(t, *pair) for t, pair in zip(terms, series, strict=True)], bias)
    return model_of(NETWORK, w=np.sum(terms, axis=0), b=bias), split


def outputs(model):
    return runner(plain_session(to_bytes(model)))({"x": normal(2, 32, 9, 9, seed=2)})["y"]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_sum_computes_the_same_outputs(length):
    model, split = problem(SERIES[:length])
    before = outputs(model)

    result = SplitConvolutions({"conv": split})(model)

    assert result.modified
    # 144 products at most, each side rounds once a product and sum.
    atol = 4 * 144 * 2.0**-24 * np.abs(before).max()
    np.testing.assert_allclose(outputs(model), before, rtol=0, atol=atol)


def test_graph_is_plain_valid_and_keeps_the_output_and_the_attributes():
    model, split = problem()

    SplitConvolutions({"conv": split})(model)

    CheckerPass(full_check=True)(model)
    nodes = list(model.graph)
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert {node.domain for node in nodes} == {""}
    assert [node.name for node in nodes] == [
        "conv/term0", "conv/term1", "conv/sum1", "conv/term2", "conv/sum",
    ]  # fmt: skip
    assert nodes[-1].outputs[0].name == "y"
    assert all(one.attributes == other.attributes for one, other in pairwise(convolutions))
    assert [len(node.inputs) for node in convolutions] == [3, 2, 2]
    assert [node.metadata_props["sparsepass.pattern"] for node in convolutions] == [
        "1:4", "1:8", "2:16",
    ]  # fmt: skip
    assert not {"w", "b"} & set(model.graph.initializers)


def test_second_run_changes_nothing():
    model, split = problem()
    SplitConvolutions({"conv": split})(model)
    before = ir.to_onnx_text(model)

    result = SplitConvolutions({"conv": split})(model)

    assert not result.modified
    assert ir.to_onnx_text(model) == before


def test_a_term_without_its_pattern_is_refused():
    model, split = problem()
    dense = Term(np.ones((6, 16, 3, 3), np.float32), 2, 4)

    with pytest.raises(PlanError, match="conv: a term is not 2:4"):
        SplitConvolutions({"conv": Split([dense], split.bias)})(model)


def test_terms_that_do_not_fit_are_refused():
    model, split = problem()
    narrow = Term(split.terms[0].weight[:, :8], 1, 4)

    for wrong in (
        Split([], split.bias),
        Split([narrow], split.bias),
        Split(split.terms, np.ones(5)),
    ):
        with pytest.raises(PlanError, match="conv: its terms"):
            SplitConvolutions({"conv": wrong})(model)
