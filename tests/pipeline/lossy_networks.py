"""A classifier that was not trained and has answers to lose."""

import numpy as np
import onnx

from models_in_text import normal, proto_of

CLASSES = 4
NET = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 16, 14, 14] x) => (float[1, 4] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, first.weight)
  n = BatchNormalization(a, gamma, beta, mean, var)
  r = Relu(n)
  [second] c = Conv<pads=[1,1,1,1]>(r, second.weight, second.bias)
  s = Relu(c)
  p = GlobalAveragePool(s)
  f = Flatten(p)
  [head] y = Gemm<transB=1>(f, head.weight, head.bias)
}
"""


def classifier() -> onnx.ModelProto:
    """Two layers of 64 filters, of which few directions matter, a normalisation and a head."""
    names = {
        "first.weight": normal(64, 8, seed=1) @ normal(8, 16 * 9, seed=2) / 24,
        "second.weight": normal(64, 8, seed=3) @ normal(8, 64 * 9, seed=4) / 48,
        "second.bias": normal(64, seed=5) / 8,
        "head.weight": normal(CLASSES, 64, seed=6),
        "head.bias": np.zeros(CLASSES, np.float32),
        "gamma": 1 + np.abs(normal(64, seed=7)),
        "beta": normal(64, seed=8) / 4,
        "mean": normal(64, seed=9) / 4,
        "var": 1 + np.abs(normal(64, seed=10)),
    }
    shapes = {"first.weight": (64, 16, 3, 3), "second.weight": (64, 64, 3, 3)}
    text = NET.replace(".weight", "_weight").replace(".bias", "_bias")
    arrays = {
        name.replace(".", "_"): np.ascontiguousarray(
            array.reshape(shapes.get(name, array.shape)), np.float32
        )
        for name, array in names.items()
    }
    return proto_of(text, **arrays)


def images(count: int) -> np.ndarray:
    return normal(count, 16, 14, 14, seed=11)
