"""Statistics of activations and of outputs, against numpy on the same values."""

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from models_in_text import model_of
from sparsepass.accumulators import POSITIONS, InputMoments
from sparsepass.calibration import calibrate
from sparsepass.errors import ModelError
from sparsepass.graph import layers
from sparsepass.layer import Layer
from sparsepass.patches import PATCHES, PER_TAP, TOGETHER, positions_for
from sparsepass.run import RunOptions
from sparsepass.samples import inputs_of, load_samples

NETWORK = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 3, SIZE, SIZE] x) => (float[N, 10] y) {
        [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
        [relu] r = Relu(a)
        [conv2] c = Conv(r, w2)
        [pool] p = GlobalAveragePool(c)
        [flat] f = Flatten(p)
        [fc] y = Gemm<transB = 1>(f, w3)
    }
"""
SHAPES = {"w1": (24, 3, 3, 3), "b1": (24,), "w2": (16, 24, 1, 1), "w3": (10, 16)}


def network(size=6, scale=1.0):
    rng = np.random.default_rng(0)
    weights = {
        name: (scale * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }
    model = model_of(NETWORK.replace("SIZE", str(size)), **weights)
    return model, layers(model).layers


def images(count, size=6):
    return np.random.default_rng(1).standard_normal((count, 3, size, size)).astype(np.float32)


def reference_conv(layer, x):
    """Naive output of a stride-1 convolution, padded as the layer says."""
    pad = layer.pads[0]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.kernel, axis=(2, 3))
    product = np.einsum("nchwij,kcij->nkhw", windows, layer.weight.astype(np.float64))
    return product + layer.bias[None, :, None, None]


def test_zeros_of_the_inputs_are_counted_image_by_image():
    model, (conv1, conv2, fc) = network()
    x = images(5)
    activations = np.maximum(reference_conv(conv1, x), 0)
    shares = np.mean(activations == 0, axis=(1, 2, 3))

    stats = calibrate(model, (conv1, conv2, fc), load_samples(x, inputs_of(model)))

    found = stats["conv2"].input
    assert found.samples == 5
    assert found.zeros_mean == pytest.approx(shares.mean(), abs=1e-12)
    assert found.zeros_p10 == pytest.approx(np.percentile(shares, 10), abs=1e-12)
    assert found.zeros_p90 == pytest.approx(np.percentile(shares, 90), abs=1e-12)
    assert stats["conv1"].input.zeros_mean == 0
    assert stats["fc"].input.samples == 5
    assert stats["conv1"].output is None


@pytest.mark.parametrize("size", [6, 8])
def test_groups_of_four_rows_are_those_of_a_loop(size):
    model, found = network(size)
    x = images(2, size)
    maps = np.maximum(reference_conv(found[0], x), 0) != 0
    groups = [
        np.count_nonzero(maps[n, c, row : row + 4, column])
        for n in range(2)
        for c in range(maps.shape[1])
        for row in range(0, size, 4)
        for column in range(size)
    ]
    dead = np.mean(~maps.any(axis=(2, 3)))

    stats = calibrate(model, found, load_samples(x, inputs_of(model)))["conv2"].input

    assert stats.dense_groups == pytest.approx(np.mean(np.array(groups) >= 3), abs=1e-12)
    assert stats.empty_groups == pytest.approx(np.mean(np.array(groups) == 0), abs=1e-12)
    assert stats.dead_channels == pytest.approx(dead, abs=1e-12)


def test_moments_are_those_of_the_output_with_its_bias():
    model, found = network()
    x = images(4)
    y = reference_conv(found[0], x).transpose(1, 0, 2, 3).reshape(24, -1)

    moments = calibrate(model, found, load_samples(x, inputs_of(model)), lossy=True)["conv1"].output

    # ONNX Runtime sums 27 products in float32; squares are off by twice that.
    atol = 2 * 28 * 2.0**-23 * np.abs(y).max()
    assert moments.positions == y.shape[1]
    np.testing.assert_allclose(moments.mean, y.mean(axis=1), atol=atol)
    np.testing.assert_allclose(
        moments.covariance, np.cov(y, bias=True), atol=atol * np.abs(y).max()
    )
    assert moments.energy == pytest.approx(
        (y**2).sum() / y.shape[1], abs=24 * atol * np.abs(y).max()
    )


def test_only_layers_with_a_rank_to_offer_have_moments():
    model, found = network()

    stats = calibrate(model, found, load_samples(images(1), inputs_of(model)), lossy=True)

    assert stats["conv1"].output is not None
    assert stats["fc"].output is None


def test_large_maps_are_sampled_the_same_way_for_a_seed():
    model, found = network(size=40)
    samples = load_samples(images(2, 40), inputs_of(model))

    first, again, other = (
        calibrate(model, found, samples, RunOptions(seed=seed), lossy=True)["conv1"].output
        for seed in (0, 0, 1)
    )

    assert first.positions == 2 * POSITIONS
    np.testing.assert_array_equal(first.covariance, again.covariance)
    assert not np.array_equal(first.covariance, other.covariance)


def test_progress_counts_samples_and_the_model_is_not_changed():
    model, found = network()
    before = ir.to_onnx_text(model)
    calls = []
    options = RunOptions(progress=lambda stage, done, total: calls.append((done, total)))

    calibrate(model, found, load_samples(images(3), inputs_of(model)), options, lossy=True)

    assert calls[1:] == [(1, 3), (2, 3), (3, 3)]
    assert ir.to_onnx_text(model) == before


def test_output_that_overflows_is_an_error_that_names_the_layer():
    model, found = network(scale=1e37)

    with pytest.raises(ModelError, match="conv2: its output has NaN or infinite"):
        calibrate(model, found, load_samples(images(1), inputs_of(model)), lossy=True)


def test_layer_of_another_model_is_an_error():
    model, found = network()
    model.graph.node("conv1").name = "renamed"

    with pytest.raises(ModelError, match="node 'conv1' is not in the model"):
        calibrate(model, found, load_samples(images(1), inputs_of(model)))


def convolution(kernel, channels, groups=1, strides=1, dilations=1, pads=0, size=9):
    rng = np.random.default_rng(0)
    axes = len(kernel)
    weight = rng.standard_normal((2 * groups, channels // groups, *kernel)).astype(np.float32)
    return Layer(
        "conv", "Conv", 1, groups, kernel, (strides,) * axes, (dilations,) * axes,
        (pads,) * axes + (0,) * axes, (size,) * axes, weight, np.ones(2 * groups, np.float32),
    )  # fmt: skip


def unfolded(layer, x):
    """The patches of all positions of all images as columns, by loops: (groups, taps, columns)."""
    axes = len(layer.kernel)
    around = tuple(zip(layer.pads[:axes], layer.pads[axes:], strict=True))
    padded = np.pad(x, ((0, 0), (0, 0), *around)).astype(np.float64)
    columns = []
    for image in padded:
        for place in itertools.product(*map(range, layer.output_spatial)):
            window = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, d, k in zip(
                    place, layer.strides, layer.dilations, layer.kernel, strict=True
                )
            )
            columns.append(image[(slice(None), *window)].reshape(layer.groups, layer.taps))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize(
    "layer",
    [
        convolution((3, 3), 4, pads=1),
        convolution((1, 1), 6),
        convolution((3, 2), 4, strides=2, dilations=2, pads=2),
        convolution((3, 3), 6, groups=3, pads=1),
        convolution((3, 3), 4, groups=4, strides=2),
        convolution((5,), 3, pads=2, size=20),
        convolution((2, 2, 2), 2, size=5),
    ],
    ids=lambda layer: layer.shape_text,
)
def test_input_moments_are_those_of_unfolded_patches(layer):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, layer.channels, *layer.input_spatial)).astype(np.float32) + 0.5
    columns = unfolded(layer, x)
    rows = layer.weight.reshape(layer.groups, -1, layer.taps).astype(np.float64)
    y = (rows @ columns).reshape(layer.filters, -1) + layer.bias[:, None]
    sums = InputMoments(layer, seed=0)

    sums.add(x[:1])
    sums.add(x[1:])
    found = sums.result()

    # Float32 sums of the terms of a group of images, and the rounding of what is kept.
    terms = TOGETHER + 2 * PATCHES
    atol = (2 * terms + 2) * 2.0**-24 * np.square(columns).max()
    assert found.positions == columns.shape[-1]
    np.testing.assert_allclose(found.mean, columns.mean(axis=-1), atol=atol)
    for group in range(layer.groups):
        expected = np.cov(columns[group], bias=True).reshape(layer.taps, layer.taps)
        np.testing.assert_allclose(found.covariance[group], expected, atol=atol)
    energy = np.square(y).sum(axis=0).mean()
    assert found.output_energy(layer.weight, layer.bias) == pytest.approx(
        energy, rel=(layer.taps + terms) * 2.0**-22
    )


def test_input_moments_of_a_product_are_those_of_its_rows():
    weight = np.ones((3, 5), np.float32)
    layer = Layer("fc", "MatMul", 4, 1, (), (), (), (), (), weight, np.zeros(3, np.float32))
    x = np.random.default_rng(1).standard_normal((2, 4, 5)).astype(np.float32)
    sums = InputMoments(layer, seed=0)

    sums.add(x)
    found = sums.result()

    assert found.positions == 8
    np.testing.assert_allclose(
        found.covariance[0], np.cov(x.reshape(-1, 5).T, bias=True), atol=20 * 2.0**-23
    )


def test_patches_of_large_maps_are_drawn_the_same_way_for_a_seed():
    layer = convolution((3, 3), 2, size=30)
    x = np.random.default_rng(1).standard_normal((2, 2, 30, 30)).astype(np.float32)

    def moments(seed):
        sums = InputMoments(layer, seed)
        sums.add(x)
        return sums.result()

    first, again, other = moments(0), moments(0), moments(1)

    assert first.positions == 2 * PATCHES
    np.testing.assert_array_equal(first.covariance, again.covariance)
    assert not np.array_equal(first.covariance, other.covariance)


def test_no_patches_have_no_moments():
    assert InputMoments(convolution((3, 3), 2), seed=0).result() is None


def test_input_that_is_not_finite_is_an_error_that_names_the_layer():
    layer = convolution((3, 3), 2)

    with pytest.raises(ModelError, match="conv: its input has NaN or infinite"):
        InputMoments(layer, seed=0).add(np.full((1, 2, 9, 9), np.inf, np.float32))


def test_of_few_images_more_positions_are_drawn():
    layer = convolution((3, 3), 32, size=40)
    x = np.random.default_rng(1).standard_normal((1, 32, 40, 40)).astype(np.float32)
    few, many = (InputMoments(layer, 0, positions_for(layer, samples)) for samples in (6, 600))

    few.add(x)
    many.add(x)

    assert 6 * few.result().positions >= PER_TAP * layer.taps
    assert many.result().positions == PATCHES
