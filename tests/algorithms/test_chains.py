"""Chains fitted to input patches: what they are said to compute, cost and lose, they do."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import CheckerPass

from models_in_text import model_of
from sparsepass.accumulators import InputMoments
from sparsepass.algorithms import ALGORITHMS, algorithm, dense_work
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import FactorConvolutions
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target

TARGET = Target("avx2", 8)
ROWS = [row for row in ALGORITHMS if row.name in ("separable", "tucker")]
NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 16, 12, 10] x) => (float[N, 24, {height}, {width}] y) {{
        [conv] y = Conv<kernel_shape = [3, 3], {attributes}>(x, weight, bias)
    }}
"""
GEOMETRIES = {
    "strides = [1, 1], pads = [1, 1, 1, 1]": ((1, 1), (1, 1), (1, 1, 1, 1)),
    "strides = [2, 1], pads = [0, 1, 2, 1]": ((2, 1), (1, 1), (0, 1, 2, 1)),
    "dilations = [1, 2], pads = [1, 0, 1, 3]": ((1, 1), (1, 2), (1, 0, 1, 3)),
    'auto_pad = "SAME_UPPER", strides = [2, 2]': ((2, 2), (1, 1), (0, 0, 1, 1)),
}
by_geometry = pytest.mark.parametrize("attributes", GEOMETRIES)
by_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def layer_of(attributes):
    rng = np.random.default_rng(0)
    strides, dilations, pads = GEOMETRIES[attributes]
    weight = rng.standard_normal((24, 16, 3, 3)).astype(np.float32)
    bias = rng.standard_normal(24).astype(np.float32)
    return Layer("conv", "Conv", 1, 1, (3, 3), strides, dilations, pads, (12, 10), weight, bias)


def images(count=12):
    """Smooth images whose channels depend on each other, with a mean."""
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((16, 16)) * np.geomspace(1, 0.05, 16)
    maps = rng.standard_normal((count, 16, 12, 10)).cumsum(axis=2).cumsum(axis=3) / 8
    return (np.einsum("cd,ndhw->nchw", mixing, maps) + 0.5).astype(np.float32)


def stats_of(layer, x):
    moments = InputMoments(layer, seed=0)
    moments.add(x)
    return Stats(weight_stats(layer), patches=moments.result())


def run(model, x):
    return runner(plain_session(to_bytes(model)))({"x": x})["y"]


def model_with(attributes, weight, bias):
    height, width = layer_of(attributes).output_spatial
    text = NETWORK.format(attributes=attributes, height=height, width=width)
    return model_of(text, weight=weight, bias=bias)


@by_row
@by_geometry
def test_expected_error_is_the_error_of_the_network_on_the_same_images(row, attributes):
    layer, x = layer_of(attributes), images()
    stats = stats_of(layer, x)
    exact = run(model_with(attributes, layer.weight, layer.bias), x)

    assert row.refuse(layer, stats, TARGET) is None
    options = row.options(layer, stats, TARGET)

    assert options
    for option in options:
        model = model_with(attributes, layer.weight, layer.bias)
        FactorConvolutions({"conv": row.pack(layer, stats, option.parameters)})(model)
        CheckerPass(full_check=True)(model)
        actual = np.linalg.norm(run(model, x) - exact) / np.linalg.norm(exact)
        # Moments are float32, and dependent features damped: see ``features``.
        assert actual == pytest.approx(option.error, rel=1e-3, abs=2e-3)


@by_row
@by_geometry
def test_chain_computes_what_stands_for_it(row, attributes):
    layer, x = layer_of(attributes), images(2)
    stats = stats_of(layer, images())
    option = row.options(layer, stats, TARGET)[0]
    weight, bias = row.approximate(layer, stats, option.parameters)
    model = model_with(attributes, layer.weight, layer.bias)

    FactorConvolutions({"conv": row.pack(layer, stats, option.parameters)})(model)

    expected = run(model_with(attributes, weight, bias), x)
    scale = np.abs(weight).sum(axis=(1, 2, 3)).max() * np.abs(x).max()
    np.testing.assert_allclose(run(model, x), expected, rtol=0, atol=layer.taps * 2.0**-23 * scale)


@by_row
def test_mean_of_the_outputs_stays(row):
    attributes = next(iter(GEOMETRIES))
    layer, x = layer_of(attributes), images()
    stats = stats_of(layer, x)
    exact = run(model_with(attributes, layer.weight, layer.bias), x)

    for option in row.options(layer, stats, TARGET):
        found = run(model_with(attributes, *row.approximate(layer, stats, option.parameters)), x)
        means = found.mean(axis=(0, 2, 3)) - exact.mean(axis=(0, 2, 3))
        np.testing.assert_allclose(means, 0, atol=1e-5 * np.abs(exact).max())


@by_row
def test_options_trade_work_for_error(row):
    layer = layer_of(next(iter(GEOMETRIES)))
    options = row.options(layer, stats_of(layer, images()), TARGET)

    errors = [option.error for option in options]
    work = [option.work.macs for option in options]
    assert errors == sorted(errors, reverse=True)
    assert work == sorted(work)
    assert work[-1] < dense_work(layer, 8).macs
    assert all(rank % 8 == 0 for option in options for rank in option.parameters.values())


@by_row
@by_geometry
def test_layers_of_a_chain_are_what_the_network_has(row, attributes):
    layer = layer_of(attributes)
    stats = stats_of(layer, images())
    option = row.options(layer, stats, TARGET)[0]
    model = model_with(attributes, layer.weight, layer.bias)

    FactorConvolutions({"conv": row.pack(layer, stats, option.parameters)})(model)

    shapes = [node.outputs[0].shape for node in model.graph]
    assert shapes[:-1] == [
        ir.Shape(["N", part.filters, *part.output_spatial]) for part in option.chain[:-1]
    ]
    assert option.work.macs == sum(part.macs for part in option.chain)


@by_row
def test_refusals(row):
    layer = layer_of(next(iter(GEOMETRIES)))
    stats = stats_of(layer, images())
    few = stats_of(layer, images(1)[..., :4, :4])
    silent = Stats(stats.weight, patches=stats_of(layer, 0 * images()).patches)
    flat = Layer(
        "conv", "Conv", 1, 1, (1, 1), (1, 1), (1, 1), (0,) * 4, (9, 9),
        layer.weight[..., :1, :1], 0 * layer.bias,
    )  # fmt: skip
    zero = Layer(**{**vars(layer), "bias": 0 * layer.bias})

    assert "--max-error" in row.refuse(layer, Stats(stats.weight), TARGET)
    assert "too few samples" in row.refuse(layer, few, TARGET)
    assert "zero on all samples" in row.refuse(zero, silent, TARGET)
    assert row.refuse(flat, stats, TARGET)
    assert row.statistics(flat) == frozenset()
    assert row.statistics(layer) == {"input moments"}


def test_separable_kernel_of_rank_8_is_found():
    rng = np.random.default_rng(2)
    columns, rows = rng.standard_normal((8, 16, 3)), rng.standard_normal((24, 8, 3))
    weight = np.einsum("frj,rci->fcij", rows, columns).astype(np.float32)
    layer = Layer(**{**vars(layer_of(next(iter(GEOMETRIES)))), "weight": weight})

    option = algorithm("separable").options(layer, stats_of(layer, images()), TARGET)[0]

    assert option.parameters == {"rank": 8}
    assert option.error < 2e-3


def test_tucker_kernel_of_ranks_8_is_found():
    rng = np.random.default_rng(2)
    first, last = rng.standard_normal((8, 16)), rng.standard_normal((24, 8))
    core = rng.standard_normal((8, 8, 3, 3))
    weight = np.einsum("fo,oaij,ac->fcij", last, core, first).astype(np.float32)
    layer = Layer(**{**vars(layer_of(next(iter(GEOMETRIES)))), "weight": weight})

    option = algorithm("tucker").options(layer, stats_of(layer, images()), TARGET)[0]

    assert option.parameters == {"inputs": 8, "outputs": 8}
    assert option.error < 2e-3
