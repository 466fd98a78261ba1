"""Zeros in a plain file: names and shapes stay, outputs come near, aims are met."""

import numpy as np
import onnx
import pytest
from lossy_networks import classifier, images
from onnx import numpy_helper

import sparsepass
from sparsepass.errors import UsageError
from sparsepass.model import to_bytes
from sparsepass.profile import shipped


def pruned(**aim) -> sparsepass.Pruned:
    return sparsepass.prune(classifier(), samples=images(64), **aim)


def weights_of(model: sparsepass.Pruned) -> dict[str, np.ndarray]:
    proto = onnx.load_from_string(to_bytes(model.model))
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


@pytest.fixture(scope="module")
def half() -> sparsepass.Pruned:
    return pruned(sparsity=0.6)


def test_weights_keep_their_names_and_shapes(half):
    before = {t.name: tuple(t.dims) for t in classifier().graph.initializer}

    after = weights_of(half)

    for name in ("first_weight", "second_weight", "second_bias", "head_weight", "head_bias"):
        assert after[name].shape == before[name]


def test_only_standard_operators_are_written(half):
    proto = onnx.load_from_string(to_bytes(half.model))

    onnx.checker.check_model(proto)
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions
    assert [node.op_type for node in proto.graph.node][:3] == ["Conv", "Relu", "Conv"]


def test_a_sparsity_is_reached_over_all_layers(half):
    layers = ("first_weight", "second_weight", "head_weight")
    weights = [weights_of(half)[name] for name in layers]

    zeros = 1 - sum(map(np.count_nonzero, weights)) / sum(w.size for w in weights)

    assert 0.6 <= zeros < 0.67
    assert half.report.sparsity == pytest.approx(zeros)


def test_with_a_profile_of_another_machine_it_is_pruned_for_that_one():
    other = next(found for found in shipped() if found.isa == "avx2")
    other = other.model_copy(update={"cpu": "another", "threads": 4, "block": None})

    found = pruned(sparsity=0.6, profile=other)

    assert (found.report.machine.cpu, found.report.machine.threads) == ("another", 4)
    assert "planned for another machine" in found.report.warnings[0]


def test_the_report_says_what_the_outputs_do(half):
    found = half.report.verification

    assert 0 < found.max_relative_error < 0.5
    assert found.answers.against == "original"
    assert len(half.report.layers) == 3


def test_more_zeros_cost_more(half):
    more = pruned(sparsity=0.85).report.verification

    assert more.max_relative_error > half.report.verification.max_relative_error


def test_an_error_is_kept_on_held_out_samples():
    found = pruned(max_error=0.3).report

    assert found.verification.passed
    assert found.sparsity > 0


def test_a_predicted_speed_up_is_reached_with_the_least_budget():
    found = pruned(speedup=1.1).report

    assert found.predicted_speedup >= 1.1


def test_what_was_pruned_is_optimized_by_its_zeros():
    model = pruned(sparsity=0.9).model

    found = sparsepass.optimize(model, dry_run=True)

    assert max(layer.weight_zeros for layer in found.report.layers) > 0.85


@pytest.mark.parametrize(
    ("aim", "words"),
    [
        ({}, "give one of"),
        ({"sparsity": 0.5, "max_error": 0.1}, "give one of"),
        ({"sparsity": 1.0}, "makes no sense"),
        ({"sparsity": -0.1}, "makes no sense"),
        ({"max_error": 0.0}, "makes no sense"),
        ({"speedup": 0.5}, "makes no sense"),
        ({"speedup": 500.0}, "at most"),
        ({"sparsity": 0.999}, "at most"),
        ({"sparsity": 0.5, "pattern": "4x1"}, "give free or 1x4"),
    ],
)
def test_aims_that_make_no_sense_or_cannot_be_reached_are_refused(aim, words):
    with pytest.raises(UsageError, match=words) as caught:
        pruned(**aim)

    assert "\n" not in str(caught.value)
