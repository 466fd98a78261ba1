"""Sparse tensors that cannot be made dense."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models_in_text import proto_of
from refusals import CONV, W, assert_refused


def sparse_model(indices, dims=W.shape, values=(1.0, 2.0)) -> onnx.ModelProto:
    proto = proto_of(CONV)
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.array(values, np.float32), "w"),
            numpy_helper.from_array(np.array(indices, np.int64), "i"),
            dims,
        )
    )
    return proto


@pytest.mark.parametrize(
    "indices",
    [
        [0, 144],
        [-1, 3],
        [3, 1],
        [3, 3],
        [[0, 0, 0, 0], [4, 0, 0, 0]],
        [[0, 0, 0, -1], [1, 0, 0, 0]],
    ],
    ids=["past the end", "negative", "unsorted", "repeated", "axis past", "axis negative"],
)
def test_wrong_sparse_indices_are_refused(indices):
    assert_refused(sparse_model(indices), "'w'", "indices")


def test_a_sparse_shape_whose_product_overflows_is_refused():
    assert_refused(sparse_model([0, 1], dims=[1 << 31, 1 << 31, 4, 4]), "'w'", "--max-bytes")
