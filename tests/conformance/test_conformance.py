"""A part of the onnx backend test suite; all of it is ``make conformance``."""

import pytest
from backend_cases import backend_cases
from conform import FAILED, IMPROVED, outcomes

CASES = {case.name: case for case in backend_cases()}
# Each stands for a kind: constants for weights, bodies, sequences, strings, indices, empty axes.
CHOSEN = (
    "test_affine_grid_2d_expanded",
    "test_bernoulli",
    "test_string_concat",
    "test_convtranspose",
    "test_cumprod_1d_int32_exclusive",
    "test_gather_0",
    "test_if_seq",
    "test_loop13_seq",
    "test_not_2d",
    "test_optional_get_element_sequence",
    "test_reduce_l1_empty_set",
    "test_sequence_model8",
    "test_split_to_sequence_1",
    "test_stft",
    "test_strnorm_model_nostopwords_nochangecase",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_what_onnx_runtime_takes_goes_through(name):
    failed = [outcome for outcome in outcomes(CASES[name]) if outcome.result == FAILED]

    assert failed == []


@pytest.mark.parametrize(
    "name", ["test_basic_conv_with_padding", "test_gemm_all_attributes", "test_matmul_2d"]
)
def test_a_pruned_weight_runs_on_our_operators(name):
    found = list(outcomes(CASES[name]))

    assert [outcome for outcome in found if outcome.result == FAILED] == []
    assert any(outcome.result == IMPROVED for outcome in found)
