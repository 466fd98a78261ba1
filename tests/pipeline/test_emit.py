"""Networks written as sums of plain convolutions with N:M-structured weights."""

import numpy as np
import pytest
from lossy_networks import classifier, images

import sparsepass
from sparsepass.errors import PlanError, UsageError
from sparsepass.graph import constant_array
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.study import study
from sparsepass.plan import Choice
from sparsepass.run import RunOptions


def emitted(**options) -> sparsepass.Result:
    return sparsepass.optimize(
        classifier(), samples=images(40), measure=False, max_error=0.3, **options
    )


@pytest.fixture(scope="module")
def found() -> sparsepass.Result:
    return emitted(emit="nm-series")


def test_layers_become_plain_convolutions_with_their_pattern(found):
    series = [c for c in found.plan.choices if c.algorithm == "nm"]
    terms = [n for n in found.model.graph if "sparsepass.pattern" in n.metadata_props]

    assert series
    assert {choice.algorithm for choice in found.plan.choices} <= {"nm", "dense"}
    assert {node.domain for node in found.model.graph.all_nodes()} == {""}
    assert not found.model.functions
    assert len(terms) == sum(len(choice.parameters) // 2 for choice in series)
    for node in terms:
        kept, block = map(int, node.metadata_props["sparsepass.pattern"].split(":"))
        mask = constant_array(node.inputs[1]) != 0
        counts = np.add.reduceat(mask, range(0, mask.shape[1], block), axis=1, dtype=int)
        assert counts.max() <= kept


def test_the_budget_holds_and_nothing_is_timed(found):
    assert found.report.verification.passed
    assert found.report.budget.measured <= 0.3
    assert found.report.network is None


def test_the_sum_gives_the_outputs_of_the_merged_weight():
    series = {"n1": 2, "m1": 4, "n2": 1, "m2": 8}
    choices = [Choice(layer="second", algorithm="nm", parameters=series)]
    options = RunOptions(samples=images(16), max_error=0.3)
    studied = study(load(classifier()), options)

    merged, plain = (rewrite(studied, choices, split=split) for split in (False, True))

    feed = {"x": images(1)}
    before, after = (runner(plain_session(to_bytes(m)))(feed)["y"] for m in (merged, plain))
    # 360 products a sum, each side rounds once a product and sum; the head adds 64 of them.
    atol = 4 * 360 * 2.0**-24 * np.abs(before).max()
    np.testing.assert_allclose(after, before, rtol=0, atol=atol)


def test_series_need_an_error_budget():
    with pytest.raises(UsageError, match="give --max-error or --max-drop"):
        sparsepass.optimize(classifier(), emit="nm-series")


def test_a_pattern_that_nobody_asked_for_is_refused_with_how_to_ask():
    (first, *_) = emitted().report.layers

    reasons = {bid.algorithm: bid.reason for bid in first.bids if bid.kind == "refusal"}

    assert "give --emit nm-series" in reasons["nm"]
    assert "give prune --pattern 1x4" in reasons["blocks"]


def test_a_plan_of_other_operators_is_not_emitted(found):
    choice = Choice(layer="second", algorithm="winograd2")
    plan = found.plan.model_copy(update={"choices": (choice,)})

    with pytest.raises(PlanError, match="winograd2 cannot compute 'second': not nm-series"):
        emitted(emit="nm-series", plan=plan)


def test_what_is_unknown_is_not_emitted():
    with pytest.raises(UsageError, match="give operators or nm-series"):
        emitted(emit="gguf")
