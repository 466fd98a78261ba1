"""Series of N:M terms as offers of a layer."""

from dataclasses import replace

import numpy as np
import pytest
from test_pruned_options import HERE, layer_of, outputs, stats_of

from sparsepass.algorithms.nm import NM, series_of, text_of
from sparsepass.algorithms.weight_sparse import spmm_work
from sparsepass.report import units


@pytest.fixture(scope="module", params=[1, 2], ids=["plain", "groups"])
def problem(request):
    layer = layer_of(channels=16 * request.param, groups=request.param)
    return layer, stats_of(layer, images=16)


def test_expected_error_and_work_are_those_of_the_weight(problem):
    layer, stats = problem
    y = outputs(layer, layer.weight, layer.bias)

    for option in NM.options(layer, stats, HERE):
        weight, bias = NM.approximate(layer, stats, option.parameters)
        error = np.linalg.norm(outputs(layer, weight, bias) - y) / np.linalg.norm(y)
        assert option.work == spmm_work(replace(layer, weight=weight), HERE)
        # The outputs are those of half of the images that the moments are of.
        assert error == pytest.approx(option.error, rel=0.15)


def test_terms_add_up_to_the_weight(problem):
    layer, stats = problem

    for option in NM.options(layer, stats, HERE):
        weight, _ = NM.approximate(layer, stats, option.parameters)
        terms = NM.terms(replace(layer, weight=weight), option.parameters)
        assert len(terms) == len(series_of(option.parameters))
        np.testing.assert_array_equal(sum(term.weight for term in terms), weight)


def test_prefixes_are_offered_with_more_error(problem):
    layer, stats = problem
    errors = {series_of(o.parameters): o.error for o in NM.options(layer, stats, HERE)}

    assert all(errors[series[:1]] > error for series, error in errors.items() if len(series) > 1)
    assert {((1, 8),), ((2, 4),), ((2, 4), (1, 8)), ((4, 8), (1, 8))} <= set(errors)


def test_settings_read_well():
    parameters = {"n1": 2, "m1": 4, "n2": 1, "m2": 8}

    assert units.parameters(parameters) == text_of(series_of(parameters)) == "2:4 + 1:8"


def test_few_channels_have_no_blocks():
    layer = layer_of(channels=3)

    assert "few channels" in NM.refuse(layer, stats_of(layer), HERE)


def test_zeros_that_are_there_rule_out_denser_series():
    layer = layer_of(channels=16)
    layer.weight[:, 4:] = 0

    offered = [series_of(o.parameters) for o in NM.options(layer, stats_of(layer, 40), HERE)]

    assert offered == [((1, 8),)]
