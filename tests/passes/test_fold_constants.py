import numpy as np

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import FoldConstants

SHAPE_ARITHMETIC = """
g (float[1, 3, 8, 8] x) => (float[1, 192] y) {
  s = Shape(x)
  zero = Constant<value = int64 {0}>()
  n = Gather(s, zero)
  axes = Constant<value_ints = [0]>()
  first = Unsqueeze(n, axes)
  rest = Constant<value_ints = [-1]>()
  target = Concat<axis = 0>(first, rest)
  y = Reshape(x, target)
}
"""


def test_shape_arithmetic_becomes_a_constant():
    model = model_of(SHAPE_ARITHMETIC)
    before = model.clone()

    result = FoldConstants()(model)

    assert result.modified
    assert op_types(model) == ["Reshape"]
    assert_same_outputs(before, model)
    assert not FoldConstants()(model).modified


def test_an_open_batch_stays_open():
    model = model_of(SHAPE_ARITHMETIC.replace("float[1, ", "float[N, "))
    before = model.clone()

    FoldConstants()(model)

    assert "Shape" in op_types(model)
    assert_same_outputs(before, model)


def test_a_weight_that_is_rebuilt_from_its_sparse_values_becomes_dense():
    flat = np.zeros(4 * 3 * 9, np.float32)
    indices = np.arange(0, flat.size, 7, dtype=np.int32)
    model = model_of(
        """
        g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {
          shape = Constant<value_ints = [4, 3, 3, 3]>()
          size = ReduceProd<keepdims = 1>(shape)
          zeros = ConstantOfShape(size)
          flat = ScatterElements(zeros, indices, values)
          w = Reshape(flat, shape)
          y = Conv(x, w)
        }
        """,
        indices=indices, values=normal(indices.size),
    )  # fmt: skip
    before = model.clone()

    FoldConstants()(model)

    assert op_types(model) == ["Conv"]
    weight = model.graph[0].inputs[1].const_value.numpy()
    assert np.count_nonzero(weight) == indices.size
    assert_same_outputs(before, model)


def test_quantized_weights_and_random_numbers_are_kept():
    model = model_of(
        """
        g (float[2] x) => (float[2] y, float[2] z) {
          w = DequantizeLinear(q, scale)
          r = RandomNormal<shape = [2]>()
          y = Add(x, w)
          z = Add(x, r)
        }
        """,
        q=np.array([1, 2], np.int8), scale=np.float32(0.5),
    )  # fmt: skip

    assert not FoldConstants()(model).modified


def test_a_huge_constant_is_not_built():
    model = model_of(
        """
        g (float[1] x) => (float[N] y) {
          big = Expand(one, shape)
          y = Add(x, big)
        }
        """,
        one=np.ones(1, np.float32), shape=np.array([1 << 40]),
    )  # fmt: skip

    assert not FoldConstants()(model).modified
