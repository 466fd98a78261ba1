"""Weights of a whole plan, fitted again and carried to the file."""

import numpy as np
import pytest

from models_in_text import model_of, normal
from sparsepass.algorithms import algorithm
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.fit import error, fit
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.study import study
from sparsepass.plan import Choice
from sparsepass.run import RunOptions

NETWORK = """
    g (float[1, 8, 12, 12] x) => (float[1, 16, 12, 12] y) {
        [one] a = Conv<pads = [1, 1, 1, 1]>(x, w1)
        [relu] r = Relu(a)
        [two] y = Conv<pads = [1, 1, 1, 1]>(r, w2)
    }
"""
CHOICES = tuple(
    Choice(layer=n, algorithm="prune", parameters={"zeros": 80}) for n in ("one", "two")
)


@pytest.fixture(scope="module")
def studied():
    x = np.random.default_rng(0).random((40, 8, 12, 12)).astype(np.float32)
    model = model_of(NETWORK, w1=normal(16, 8, 3, 3), w2=normal(16, 16, 3, 3, seed=1))
    return study(model, RunOptions(samples=x, max_error=0.5))


def approximated(studied):
    row = algorithm("prune")
    return {
        layer.name: row.approximate(layer, studied.stats[layer.name], {"zeros": 80})
        for layer in studied.layers
    }


def test_weights_of_a_plan_are_better_together(studied):
    options = RunOptions()

    fitted = fit(studied, CHOICES, options)

    assert set(fitted) == {"one", "two"}
    before = error(studied, studied.layers, approximated(studied), options)
    assert error(studied, studied.layers, fitted, options) < before


def test_fitted_weights_are_those_of_the_file(studied):
    fitted = fit(studied, CHOICES, RunOptions())

    plain = rewrite(studied, CHOICES)
    changed = rewrite(studied, CHOICES, weights=fitted)

    feeds = list(studied.held_out)
    exact, first, second = (
        [runner(plain_session(to_bytes(model)))(feed)["y"] for feed in feeds]
        for model in (studied.prepared.model, plain, changed)
    )
    assert np.linalg.norm(np.subtract(second, exact)) < np.linalg.norm(np.subtract(first, exact))


def test_exact_choices_have_nothing_to_fit(studied):
    assert fit(studied, (Choice(layer="one", algorithm="dense"),), RunOptions()) == {}
