"""Weights fitted again: also those of exact layers, behind the first lossy one."""

import numpy as np
import pytest
from lossy_networks import classifier, images

from sparsepass.algorithms import algorithm
from sparsepass.calibration import nodes_of
from sparsepass.graph import constant_array
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline import fit as module
from sparsepass.pipeline.fit import behind, fit
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.study import study
from sparsepass.plan import Choice
from sparsepass.run import RunOptions
from sparsepass.sensitivity import relative_error


@pytest.fixture(scope="module")
def options() -> RunOptions:
    return RunOptions(samples=images(24), max_error=0.2, measure=False)


@pytest.fixture(scope="module")
def studied(options):
    return study(classifier(), options)


def pruned(layer) -> Choice:
    return Choice(layer=layer.name, algorithm="prune", parameters={"zeros": 80})


def test_layers_behind_begin_with_the_first_named(studied):
    names = [layer.name for layer in studied.layers]

    assert [layer.name for layer in behind(studied.layers, {names[1]})] == names[1:]
    assert list(behind(studied.layers, ())) == []


def test_exact_layers_behind_a_lossy_one_get_other_weights_and_no_other_zeros(studied, options):
    first, *others = (layer for layer in studied.layers if layer.op_type == "Conv")
    choices = [pruned(first)]
    weights = fit(studied, choices, options)
    model = rewrite(studied, choices, weights=weights)
    nodes = nodes_of(model, others)

    assert set(weights) == {first.name, *(layer.name for layer in others)}
    for layer in others:
        held = constant_array(nodes[layer.name].inputs[1])
        np.testing.assert_array_equal(held, weights[layer.name][0])
        assert not np.array_equal(held, layer.weight)
        assert not held[layer.weight == 0].any()


def test_layers_before_the_first_lossy_one_stay(studied, options):
    found = [layer for layer in studied.layers if layer.op_type == "Conv"]

    assert set(fit(studied, [pruned(found[-1])], options)) <= {found[-1].name}


def test_a_layer_behind_a_threshold_is_fitted_to_what_passes_it(studied, options):
    row = algorithm("threshold")
    layer, option = next(
        (layer, found[-1])
        for layer in studied.layers
        if row.refuse(layer, studied.stats[layer.name], studied.target) is None
        and (found := row.options(layer, studied.stats[layer.name], studied.target))
    )
    choices = [Choice(layer=layer.name, algorithm="threshold", parameters=dict(option.parameters))]
    weights = fit(studied, choices, options)
    networks = (
        studied.prepared.model,
        rewrite(studied, choices),
        rewrite(studied, choices, weights=weights),
    )
    runs = [runner(plain_session(to_bytes(network), threads=1)) for network in networks]
    exact, before, after = ([run(feed) for feed in studied.held_out] for run in runs)

    assert layer.name in weights
    assert relative_error(exact, after) < relative_error(exact, before)


def test_the_weights_of_the_last_plans_are_kept(monkeypatch):
    asked = []
    monkeypatch.setattr(
        module, "fit", lambda studied, choices, options: asked.append(choices) or {}
    )
    plans = [[Choice(layer=str(i), algorithm="prune")] for i in range(module.MOST_PLANS + 1)]
    kept = module.FittedPlans()

    for choices in (*plans[:-1], plans[0], plans[-1], plans[0]):
        kept.weights(None, choices, RunOptions())

    assert asked == plans
    assert len(kept.plans) == module.MOST_PLANS
