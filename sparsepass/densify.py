"""Sparse tensors of a model file made dense: onnx_ir drops sparse initializers on reading."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto, numpy_helper

from sparsepass.checks import all_graphs, element_count
from sparsepass.errors import ModelError

__all__ = ["make_dense"]


def make_dense(proto: onnx.ModelProto, label: str, folder: Path | None, max_bytes: int) -> None:
    """Turn every sparse initializer and sparse constant into a dense one, in place.

    Raises ModelError for indices that do not fit and for what goes over ``max_bytes``.
    """
    for graph in all_graphs(proto):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(dense(sparse, label, folder, max_bytes))
        del graph.sparse_initializer[:]
        for node in graph.node:
            for attribute in node.attribute:
                if (
                    attribute.type == onnx.AttributeProto.SPARSE_TENSOR
                    and node.op_type == "Constant"
                ):
                    value = dense(attribute.sparse_tensor, label, folder, max_bytes)
                    attribute.CopyFrom(onnx.helper.make_attribute("value", value))


def dense(
    sparse: SparseTensorProto, label: str, folder: Path | None, max_bytes: int
) -> TensorProto:
    what = f"{label}: sparse tensor {sparse.values.name!r}"
    base = str(folder or "")
    values = numpy_helper.to_array(sparse.values, base)
    indices = numpy_helper.to_array(sparse.indices, base)
    dims = tuple(sparse.dims)
    count = element_count(dims, what)
    if count * values.itemsize > max_bytes or count >= 1 << 63:
        raise ModelError(f"{what} is too large when dense, {list(dims)}; raise --max-bytes")
    flat = flat_indices(indices, dims, len(values) if values.ndim == 1 else -1)
    if flat is None:
        raise ModelError(
            f"{what}: indices must be sorted and unique, inside {list(dims)}, one per value; "
            "export again"
        )
    out = np.zeros(count, values.dtype)
    out[flat] = values
    return numpy_helper.from_array(out.reshape(dims), sparse.values.name)


def flat_indices(indices: NDArray[Any], dims: tuple[int, ...], count: int) -> NDArray[Any] | None:
    """Return indices, (count,) or (count, rank), as flat ones, or None where they are wrong."""
    if indices.dtype != np.int64 or indices.shape not in ((count,), (count, len(dims))):
        return None
    if indices.ndim == 2:
        if np.any(indices < 0) or np.any(indices >= np.array(dims)):
            return None
        indices = np.asarray(np.ravel_multi_index(tuple(indices.T), dims))
    ordered = bool(np.all(np.diff(indices) > 0))
    inside = count == 0 or (indices[0] >= 0 and indices[-1] < np.prod(dims, dtype=np.int64))
    return indices if ordered and inside else None
