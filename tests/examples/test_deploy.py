import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import deploy
import sparsepass

CONV_RELU = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 16, 12, 12] x) => (float[N, 16, 12, 12] y) {
  t = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  y = Relu (t)
}
"""


@pytest.fixture
def optimized(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 16, 3, 3), np.float32)
    weight[rng.random(weight.shape) < 0.9] = 0
    model = onnx.parser.parse_model(CONV_RELU)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(16, np.float32), "b"))
    path = tmp_path / "m.sparse.onnx"
    sparsepass.optimize(model, threads=1).save(path)
    return path


def test_an_optimized_file_gives_the_same_with_and_without_the_library(optimized):
    # Outputs are sums of about 16 * 9 / 10 products of order 1 and a bias.
    terms = 16

    difference = deploy.largest_difference(optimized)

    assert difference <= terms**1.5 * np.finfo(np.float32).eps


def test_noise_takes_one_for_an_open_size(optimized):
    session = deploy.stock_session(optimized, threads=1)

    feed = deploy.noise(session)

    assert {name: array.shape for name, array in feed.items()} == {"x": (1, 16, 12, 12)}
