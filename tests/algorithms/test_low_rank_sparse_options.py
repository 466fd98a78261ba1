"""Chains beside sparse layers: what they are said to compute, cost and lose, they do."""

from dataclasses import replace

import numpy as np
import pytest

from models_in_text import model_of
from sparsepass.accumulators import InputMoments
from sparsepass.algorithms import Beside
from sparsepass.algorithms.low_rank_sparse import LOW_RANK_SPARSE as ROW
from sparsepass.algorithms.prune import PRUNE
from sparsepass.layer import Epilogue, Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target

TARGET = Target("avx2", 8)
NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 16, 12, 10] x) => (float[N, 64, {height}, {width}] y) {{
        [conv] y = Conv<kernel_shape = [3, 3], strides = [{strides}], pads = [{pads}],
                        dilations = [{dilations}]>(x, weight, bias)
    }}
"""
GEOMETRIES = [
    ((1, 1), (1, 1), (1, 1, 1, 1)),
    ((2, 1), (1, 1), (0, 1, 2, 1)),
    ((1, 1), (1, 2), (1, 0, 1, 3)),
]
by_geometry = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)


def layer_of(geometry=GEOMETRIES[0], rank=6):
    """A layer whose weight is of low rank but for some larger weights."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((64, rank)) @ rng.standard_normal((rank, 144)) / 3
    places = rng.choice(weight.size, weight.size // 25, replace=False)
    weight.reshape(-1)[places] += 8 * rng.choice([-1.0, 1.0], len(places))
    bias = rng.standard_normal(64).astype(np.float32)
    shaped = weight.reshape(64, 16, 3, 3).astype(np.float32)
    return Layer("conv", "Conv", 1, 1, (3, 3), *geometry, (12, 10), shaped, bias)


def images(count=12):
    return (np.random.default_rng(1).standard_normal((count, 16, 12, 10)) + 0.5).astype(np.float32)


def stats_of(layer, x):
    moments = InputMoments(layer, seed=0)
    moments.add(x)
    return Stats(weight_stats(layer), patches=moments.result())


def run(layer, weight, bias, x):
    (height, width), text = layer.output_spatial, {}
    for name in ("strides", "pads", "dilations"):
        text[name] = ", ".join(map(str, getattr(layer, name)))
    model = model_of(NETWORK.format(height=height, width=width, **text), weight=weight, bias=bias)
    return runner(plain_session(to_bytes(model)))({"x": x})["y"]


@by_geometry
def test_expected_error_is_the_error_of_the_network_on_the_same_images(geometry):
    layer, x = layer_of(geometry), images()
    stats = stats_of(layer, x)
    exact = run(layer, layer.weight, layer.bias, x)

    assert ROW.refuse(layer, stats, TARGET) is None
    options = ROW.options(layer, stats, TARGET)

    assert [dict(option.parameters) for option in options] == [
        {"rank": 8, "sparsity": zeros} for zeros in (80, 90, 95)
    ]
    for option in options:
        found = run(layer, *ROW.approximate(layer, stats, option.parameters), x)
        actual = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        # Moments are float32 and damped: see ``supports.damped``.
        assert actual == pytest.approx(option.error, rel=1e-2, abs=1e-3)


def test_a_planted_sum_is_found_where_pruning_does_not_find_it():
    layer = layer_of()
    stats = stats_of(layer, images())
    pruned = {o.parameters["zeros"]: o.error for o in PRUNE.options(layer, stats, TARGET)}

    found = {o.parameters["sparsity"]: o.error for o in ROW.options(layer, stats, TARGET)}

    assert found[95] < 0.02
    for zeros, error in found.items():
        assert error < pruned[zeros]


def test_what_is_offered_has_less_error_than_pruning_with_as_many_multiply_adds():
    layer = layer_of()
    stats = stats_of(layer, images())
    pruned = PRUNE.options(layer, stats, TARGET)

    for option in ROW.options(layer, stats, TARGET):
        macs = option.work.macs + sum(part.macs for part in option.chain)
        assert macs < layer.macs / 2
        assert option.error < min(p.error for p in pruned if p.work.macs <= macs)


@by_geometry
def test_payload_adds_up_to_what_stands_for_it(geometry):
    layer = layer_of(geometry)
    stats = stats_of(layer, images())
    parameters = {"rank": 8, "sparsity": 90}
    weight, bias = ROW.approximate(layer, stats, parameters)

    payload = ROW.pack(layer, stats, parameters)

    assert isinstance(payload, Beside)
    first, last = (factor.weight.reshape(len(factor.weight), -1) for factor in payload.chain)
    constants = dict(payload.packed.inputs)
    sparse = np.zeros(weight.size, np.float32)
    sparse[constants["indices"]] = constants["values"]
    total = last @ first + sparse.reshape(64, -1)
    assert len(constants["values"]) == round(weight.size * 0.1)
    assert not any(factor.bias.any() for factor in payload.chain)
    np.testing.assert_array_equal(payload.packed.bias, bias)
    # Rank and sparse value: nine products, each side rounds once a product.
    np.testing.assert_allclose(
        total, weight.reshape(64, -1), atol=9 * 2.0**-23 * np.abs(weight).max()
    )


def test_mean_of_the_outputs_stays():
    layer, x = layer_of(), images()
    stats = stats_of(layer, x)
    exact = run(layer, layer.weight, layer.bias, x)

    found = run(layer, *ROW.approximate(layer, stats, {"rank": 8, "sparsity": 95}), x)

    means = found.mean(axis=(0, 2, 3)) - exact.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(means, 0, atol=1e-5 * np.abs(exact).max())


def test_a_residual_of_its_own_is_one_more_pass():
    layer = layer_of()
    stats = stats_of(layer, images())
    own = replace(layer, epilogue=Epilogue(residual=True))
    size = 4 * layer.output_size

    (alone, *_), (behind, *_) = (ROW.options(each, stats, TARGET) for each in (layer, own))

    assert alone.work.input_bytes == 4 * layer.input_size + size
    assert behind.work.input_bytes == alone.work.input_bytes + 2 * size
    assert behind.work.output_bytes == alone.work.output_bytes + size
    assert behind.work.nodes == alone.work.nodes + 1


def test_refusals():
    layer = layer_of()
    stats = stats_of(layer, images())
    rng = np.random.default_rng(2)
    even = replace(layer, weight=rng.standard_normal(layer.weight.shape).astype(np.float32))
    grouped = replace(layer, groups=2)
    narrow = replace(layer, weight=layer.weight[:8], bias=layer.bias[:8])

    assert "--max-error" in ROW.refuse(layer, Stats(stats.weight), TARGET)
    assert "grouped" in ROW.refuse(grouped, stats, TARGET)
    assert "half of the dense work" in ROW.refuse(narrow, stats, TARGET)
    assert "pruning alone" in ROW.refuse(even, stats_of(even, images()), TARGET)
    assert ROW.statistics(grouped) == frozenset()
    assert ROW.statistics(layer) == {"input moments"}
