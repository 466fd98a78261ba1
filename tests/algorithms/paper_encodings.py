"""The activation encodings CPO and CPS as their authors define them (arXiv 2104.08314).

One channel at a time, in numpy: what the formulas of memory that reports quote are held to.  Planes
are (rows, columns), already padded.

A window of kernel columns at output column m is called submatrix m.  Column j of the plane belongs
to submatrices m_first(j) .. m_last(j); its overlap type is m_last - m_first.  Every non-zero is
stored once, under its type and its first submatrix.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Words = NDArray[np.int64]

# Rows of a column that share an index word of CPS.
GROUP_ROWS = 4


@dataclass(frozen=True)
class PlaneShape:
    """One channel of a convolution without padding: (height, width) of plane, kernel and stride."""

    plane: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)

    @property
    def out(self) -> tuple[int, int]:
        """Output rows and columns."""
        rows, columns = (
            (size - kernel) // stride + 1
            for size, kernel, stride in zip(self.plane, self.kernel, self.stride, strict=True)
        )
        return rows, columns

    @property
    def types(self) -> int:
        """Overlap types, ceil(kernel columns / stride)."""
        return -(-self.kernel[1] // self.stride[1])

    def submatrices(self, column: int) -> range:
        """The submatrices that hold ``column``; empty where the stride jumps over it."""
        first = max(0, -(-(column - self.kernel[1] + 1) // self.stride[1]))
        last = min(self.out[1] - 1, column // self.stride[1])
        return range(first, last + 1)


@dataclass(frozen=True)
class Cpo:
    """Non-zeros by (type, first submatrix).

    ``values[start[t, m]:start[t, m + 1]]`` are those of type ``t`` that submatrix ``m`` sees first,
    column by column; ``index`` is their place in it, row * kernel columns + column.
    """

    shape: PlaneShape
    values: Array
    index: Words
    start: Words

    @property
    def words(self) -> int:
        """Stored words: values, indices and pointers."""
        return self.values.size + self.index.size + pointer_words(self.shape)


@dataclass(frozen=True)
class Cps:
    """Values and starts as in ``Cpo``; indices are shared by groups of four rows of a column.

    ``position`` counts down the columns of the plane.  Where ``rows`` is 0 it is that of one value;
    else ``rows`` is the set of rows, bit by bit, that follow the group's first position.
    """

    shape: PlaneShape
    values: Array
    position: Words
    rows: Words
    start: Words

    @property
    def words(self) -> int:
        """Stored words; a set takes a second one."""
        sets = int(np.count_nonzero(self.rows))
        return self.values.size + self.position.size + sets + pointer_words(self.shape)


def encode_cpo(plane: Array, shape: PlaneShape) -> Cpo:
    """Encode one plane; NaN and infinities count as non-zeros, -0.0 does not."""
    values: list[float] = []
    index: list[int] = []
    start = np.zeros((shape.types, shape.out[1] + 1), np.int64)
    for kind, first, columns in buckets(shape):
        start[kind, first] = len(values)
        for column in columns:
            for row in np.flatnonzero(plane[:, column]):
                values.append(plane[row, column])
                index.append(int(row) * shape.kernel[1] + column - first * shape.stride[1])
        start[kind, first + 1] = len(values)
    return Cpo(shape, np.array(values, np.float32), np.array(index, np.int64), start)


def encode_cps(plane: Array, shape: PlaneShape) -> Cps:
    """Encode one plane with shared index words: for three or four non-zeros of a group, a set."""
    position: list[int] = []
    rows: list[int] = []
    for _, _, columns in buckets(shape):
        for column in columns:
            for top in range(0, shape.plane[0], GROUP_ROWS):
                present = np.flatnonzero(plane[top : top + GROUP_ROWS, column])
                origin = column * shape.plane[0] + top
                if present.size > 2:
                    position.append(origin)
                    rows.append(int(np.sum(1 << present)))
                else:
                    position.extend(origin + int(row) for row in present)
                    rows.extend(0 for _ in present)
    cpo = encode_cpo(plane, shape)
    return Cps(shape, cpo.values, np.array(position, np.int64), np.array(rows, np.int64), cpo.start)


def decode_cps(cps: Cps) -> Cpo:
    """The same plane with one index per value."""
    height, (_, kernel_columns) = cps.shape.plane[0], cps.shape.kernel
    index: list[int] = []
    for origin, rows in zip(cps.position.tolist(), cps.rows.tolist(), strict=True):
        first = cps.shape.submatrices(origin // height)[0]
        column = origin // height - first * cps.shape.stride[1]
        offsets = [row for row in range(GROUP_ROWS) if rows >> row & 1] if rows else [0]
        index.extend((origin % height + row) * kernel_columns + column for row in offsets)
    return Cpo(cps.shape, cps.values, np.array(index, np.int64), cps.start)


def convolve(cpo: Cpo, weight: Array) -> Array:
    """Convolve an encoded plane with ``weight`` (kernel rows, kernel columns).

    The three outer loops are horizontal reuse, the innermost is vertical reuse; neither is stored.
    """
    (out_rows, out_columns), (kernel_rows, kernel_columns) = cpo.shape.out, cpo.shape.kernel
    stride_rows, stride_columns = cpo.shape.stride
    out = np.zeros((out_rows, out_columns), np.float32)
    for kind in range(cpo.shape.types):
        for x in range(out_columns):
            for shift in range(min(x, kind) + 1):
                begin, end = cpo.start[kind, x - shift : x - shift + 2]
                for k in range(begin, end):
                    row, place = divmod(int(cpo.index[k]), kernel_columns)
                    column = place - shift * stride_columns
                    for r in range(row % stride_rows, kernel_rows, stride_rows):
                        y = (row - r) // stride_rows
                        if 0 <= y < out_rows:
                            out[y, x] += cpo.values[k] * weight[r, column]
    return out


def pointer_words(shape: PlaneShape) -> int:
    """Words of the starts: type 0 has non-zeros in the first and last submatrix only."""
    columns = shape.out[1] + 1
    return columns if shape.types == 1 else (shape.types - 1) * columns + 3


def buckets(shape: PlaneShape) -> Iterator[tuple[int, int, list[int]]]:
    """(type, first submatrix, columns) in the order of storage."""
    held = [shape.submatrices(column) for column in range(shape.plane[1])]
    for kind in range(shape.types):
        for first in range(shape.out[1]):
            yield (
                kind,
                first,
                [j for j, m in enumerate(held) if m == range(first, first + kind + 1)],
            )
