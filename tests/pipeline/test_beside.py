"""Layers with a chain beside them, from samples to outputs."""

from functools import cache

import numpy as np
import pytest

from models_in_text import normal, op_types, proto_of
from sparsepass.algorithms import algorithm
from sparsepass.cost import CostModel
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import SetWeights
from sparsepass.pipeline.held_weights import coded_bytes
from sparsepass.pipeline.measure import measure
from sparsepass.pipeline.measurements import Measurements
from sparsepass.pipeline.quantize import quantize
from sparsepass.pipeline.rewrite import check_choices, rewrite
from sparsepass.pipeline.study import study
from sparsepass.plan import Choice, Offer
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.runtime.node_times import names_of_layers
from sparsepass.runtime.session import session
from test_profile import profile_of

NETWORK = """
<ir_version: 8, opset_import: ["": 17]>
g (float[{batch}, 16, {size}] x) => (float[{batch}, 64, {size}] y) {{
  [first] a = Conv<kernel_shape = [{kernel}], pads = [{pads}]>(x, w1, b1)
  [relu] r = Relu(a)
  [second] c = Conv<kernel_shape = [{kernel}], pads = [{pads}]>(r, w2, b2)
  [sum] s = Add(c, r)
  [last] y = Relu(s)
}}
"""
ROW = algorithm("low-rank-sparse")
assert ROW is not None


def planted(channels: int, taps: int, seed: int) -> np.ndarray:
    """A weight of 64 filters that is of low rank but for some larger weights."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((64, 6)) @ rng.standard_normal((6, channels * taps)) / 30
    places = rng.choice(weight.size, weight.size // 25, replace=False)
    weight.reshape(-1)[places] += rng.choice([-1.0, 1.0], len(places))
    return weight.astype(np.float32)


@cache
def studied(axes: int, batch: str):
    text = NETWORK.format(
        batch=batch,
        size=", ".join(["14"] * axes),
        kernel=", ".join(["3"] * axes),
        pads=", ".join(["1"] * 2 * axes),
    )
    shape = (3,) * axes
    weights = {
        "w1": planted(16, 3**axes, seed=1).reshape(64, 16, *shape),
        "w2": planted(64, 3**axes, seed=2).reshape(64, 64, *shape),
        "b1": normal(64, seed=3),
        "b2": normal(64, seed=4),
    }
    samples = normal(160, 16, *[14] * axes, seed=5)
    return study(load(proto_of(text, **weights)), RunOptions(samples=samples, max_error=0.5))


@pytest.fixture(scope="module")
def known():
    return studied(2, "N")


def choices_of(known, *names: str) -> list[Choice]:
    parameters = {"rank": 8, "sparsity": 90}
    return [Choice(layer=n, algorithm="low-rank-sparse", parameters=parameters) for n in names]


def run(model, feed, library: bool = False) -> np.ndarray:
    content = to_bytes(model)
    opened = session(content, threads=1) if library else plain_session(content)
    return runner(opened)(feed)["y"]


def stand_in(known, choices):
    """The network with the one weight that each chosen layer computes with."""
    weights = {
        choice.layer: ROW.approximate(
            next(layer for layer in known.layers if layer.name == choice.layer),
            known.stats[choice.layer],
            choice.parameters,
        )
        for choice in choices
    }
    model = known.prepared.model.clone()
    SetWeights(weights, {})(model)
    return model


def test_one_op_and_two_convolutions_take_the_place_of_a_layer(known):
    choices = choices_of(known, "first")

    check_choices(known, choices, DEFAULTS)
    model = rewrite(known, choices)

    assert op_types(model)[:3] == ["Conv", "Conv", "SparseConvAddRelu"]
    assert [node.name for node in model.graph][:3] == ["first/beside0", "first/beside1", "first"]


def test_a_residual_of_the_layer_is_added_behind(known):
    model = rewrite(known, choices_of(known, "second"))

    assert op_types(model)[-5:] == ["Conv", "Conv", "SparseConvAdd", "Add", "Relu"]


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("names", [["first"], ["second"], ["first", "second"]], ids="+".join)
@pytest.mark.parametrize(("axes", "batch"), [(2, "N"), (1, "N"), (2, "1")])
def test_outputs_are_those_of_the_one_weight(axes, batch, names, library):
    known = studied(axes, batch)
    choices = choices_of(known, *names)
    feed = {"x": normal(1, 16, *[14] * axes, seed=6)}

    model = rewrite(known, choices)

    expected = run(stand_in(known, choices), feed)
    # Sums of up to 576 products, each side rounds once a product, in both layers.
    atol = 4 * 576 * 2.0**-24 * np.abs(expected).max()
    np.testing.assert_allclose(run(model, feed, library), expected, rtol=0, atol=atol)


@pytest.mark.parametrize(("bits", "most"), [(8, 0.02), (4, 0.3)])
def test_all_its_weights_are_held_in_few_bits(known, bits, most):
    choices = choices_of(known, "first")
    exact, coded = rewrite(known, choices), rewrite(known, choices)
    layer = next(layer for layer in known.layers if layer.name == "first")

    quantize(known, coded, bits)

    feed = {"x": normal(4, 16, 14, 14, seed=6)}
    before, after = run(exact, feed), run(coded, feed)
    assert 0 < np.linalg.norm(after - before) / np.linalg.norm(before) < most
    floats = {name for name in coded.graph.initializers if name.endswith(".weight")}
    assert not floats & {"first/beside0.weight", "first/beside1.weight"}
    # Two factors, the values that are not zero and the steps between them.
    values = 8 * (layer.taps + layer.filters) + layer.weight.size // 10
    assert (
        coded_bytes(coded, [layer])[layer.name]
        < values * bits / 8 + 2 * layer.weight.size // 10 + 2000
    )


def test_the_convolutions_of_the_chain_count_for_the_layer(known):
    names = names_of_layers(known.prepared.model, known.layers, known.prepared.known.shapes)

    model = rewrite(known, choices_of(known, "first"))

    for node in list(model.graph)[:3]:
        assert names[node.name] == names[node.outputs[0].name] == "first"


def test_it_is_timed_in_its_place(known, tmp_path):
    offers = [Offer(algorithm="dense", predicted=100.0, error=0.0)]
    offers += [
        Offer(algorithm=c.algorithm, parameters=c.parameters, predicted=90.0, error=0.1)
        for c in choices_of(known, "first")
    ]
    answers = {layer.name: tuple(offers) for layer in known.layers}
    options = RunOptions(measure_seconds=1.0)
    costs = CostModel(profile_of(), trusted=False)

    found, _ = measure(known, answers, options, costs, Measurements.load(tmp_path / "none"))

    assert all(offer.measured > 0 for offer in found["first"])
