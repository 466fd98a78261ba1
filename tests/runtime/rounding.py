"""How far an output may be from the exact one: bounds by the standard model of rounding.

A sum of n products in any order, fused or not, is off by at most gamma(n + 1) times the sum of the
absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
"""

from dataclasses import dataclass, replace

import numpy as np
from native import Conv, Epilogue, Problem, reference

# Twice the unit roundoff, which covers the gap between n * u and gamma(n).
EPS = float(np.finfo(np.float32).eps)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


def tolerance(algorithm: str, problem: Problem) -> np.ndarray:
    """The largest allowed error of each output."""
    kept = np.count_nonzero(problem.weight.reshape(problem.conv.filters, -1), axis=1)
    # Beside the products: bias, residual, slope, and the rounding of the reference itself.
    terms = kept.reshape(1, -1, 1, 1) + 4
    size = sum_of_sizes(problem)
    if algorithm in WINOGRAD:
        winograd = WINOGRAD[algorithm][taps_of_a_phase(problem.conv)]
        size = size + winograd.sum_of_sizes(problem)
        phases = problem.conv.stride_h * problem.conv.stride_w
        terms = problem.conv.channels_per_group * phases + winograd.roundings
    before = (EPS * terms * size + SMALLEST * terms) * max(1.0, abs(problem.epilogue.slope))
    if not problem.epilogue.smooth:
        return before
    # No smooth activation is steeper than 3 / 2, and each is at most its argument: e^x within two
    # roundings of itself (and of its argument, by up to 88), then a sum, a quotient or product.
    return 1.5 * before + 8 * EPS * size


def sum_of_sizes(problem: Problem) -> np.ndarray:
    """Each output with the absolute values of everything it adds up."""
    return reference(
        replace(
            problem,
            weight=np.abs(problem.weight),
            bias=np.abs(problem.bias),
            x=np.abs(problem.x),
            residual=None if problem.residual is None else np.abs(problem.residual),
            epilogue=Epilogue(),
        )
    ).astype(np.float64)


@dataclass(frozen=True)
class Winograd:
    """F(m x m, r x r) as three matrices: y = A [(G g G') * (B d B')] A', summed over channels.

    Every step is a product with a constant matrix, so absolute values all the way bound the error
    (Barabasz et al., Error analysis and improving the accuracy of Winograd convolution, 2020).
    With a stride, every phase of a channel is a channel (Huang et al., arXiv 2002.00552).
    """

    output: np.ndarray  # A, (m, m + r - 1)
    weight: np.ndarray  # G, (m + r - 1, r)
    input: np.ndarray  # B, (m + r - 1, m + r - 1)

    @property
    def roundings(self) -> int:
        """Roundings on the way beside the sum over channels: both ways of both transforms, more
        than terms in a row; the weight; bias, residual, slope and the reference."""
        return 2 * (len(self.input) + 1) + 2 * (len(self.input) + 1) + 6

    def sum_of_sizes(self, problem: Problem) -> np.ndarray:
        return self._convolve(np.abs, problem)

    def exact(self, problem: Problem) -> np.ndarray:
        """The convolution without bias by these matrices, in double precision."""
        return self._convolve(lambda matrix: matrix, problem)

    def _convolve(self, on_all, problem: Problem) -> np.ndarray:
        a, g, b = on_all(self.output), on_all(self.weight), on_all(self.input)
        conv, m, tile, taps = problem.conv, len(a), len(b), g.shape[1]
        stride = conv.stride_h
        batch, _, height, width = problem.x.shape
        shape = conv.output_shape(batch, height, width)
        rows, columns = -(-shape[2] // m), -(-shape[3] // m)
        # Up to the last tile, or as far as the input goes beyond it.
        far_h, far_w = stride * (rows * m + taps), stride * (columns * m + taps)
        padded = np.pad(
            on_all(problem.x.astype(np.float64)),
            (
                (0, 0),
                (0, 0),
                (conv.pad_top, max(0, far_h - conv.pad_top - height)),
                (conv.pad_left, max(0, far_w - conv.pad_left - width)),
            ),
        )[:, :, :far_h, :far_w]
        x = phases_as_channels(padded, stride)
        d = np.lib.stride_tricks.sliding_window_view(x, (tile, tile), axis=(2, 3))
        d = d[:, :, : rows * m : m, : columns * m : m]
        channels = conv.channels_per_group * stride**2
        d = d.reshape(batch, conv.groups, channels, rows, columns, tile, tile)
        w = np.zeros((*problem.weight.shape[:2], taps * stride, taps * stride))
        w[:, :, : conv.kernel_h, : conv.kernel_w] = on_all(problem.weight)
        w = phases_as_channels(w, stride)
        w = w.reshape(conv.groups, -1, channels, taps, taps)
        sums = np.einsum("gkcij,ngcrsij->ngkrsij", g @ w @ g.T, b @ d @ b.T, optimize=True)
        y = (a @ sums @ a.T).reshape(batch, conv.filters, rows, columns, m, m)
        y = y.transpose(0, 1, 2, 4, 3, 5).reshape(batch, conv.filters, rows * m, columns * m)
        return y[:, :, : shape[2], : shape[3]]


def phases_as_channels(x: np.ndarray, stride: int) -> np.ndarray:
    """Rows and columns with the same remainder modulo the stride as maps of their own."""
    n, channels, height, width = x.shape
    x = x.reshape(n, channels, height // stride, stride, width // stride, stride)
    x = x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, channels * stride**2, height // stride, width // stride)


def winograd(*points: float, taps: int = 3) -> Winograd:
    """The matrices for finite interpolation points and infinity (Cook and Toom)."""
    count = len(points)
    m = count + 2 - taps
    output = np.zeros((m, count + 1))
    weight = np.zeros((count + 1, taps))
    inverse = np.zeros((count + 1, count + 1))
    for i, point in enumerate(points):
        others = [p for p in points if p != point]
        output[:, i] = [point**k for k in range(m)]
        weight[i] = [point**k / np.prod([point - p for p in others]) for k in range(taps)]
        # The polynomial that is zero at all other points, lowest power first.
        inverse[i, :count] = np.poly(others)[::-1]
    output[m - 1, count] = 1
    weight[count, taps - 1] = 1
    inverse[count] = np.poly(points)[::-1]
    return Winograd(output, weight, inverse)


# By the taps that a phase of the kernel has.
WINOGRAD = {
    "winograd2": {3: winograd(0, 1, -1)},
    "winograd4": {
        2: winograd(0.5, -0.5, 1.25, -1.25, taps=2),
        3: winograd(0, 0.75, -0.75, 1.5, -1.5),
        4: winograd(0.25, -0.25, 0.875, -0.875, 1.75, -1.75, taps=4),
    },
}


def taps_of_a_phase(conv: Conv) -> int | None:
    """Taps of the kernel, in both directions, that meet the same phase of the input."""
    taps = {-(-conv.kernel_h // conv.stride_h), -(-conv.kernel_w // conv.stride_w)}
    return taps.pop() if len(taps) == 1 else None


def restriction(algorithm: str, conv: Conv) -> str | None:
    """The documented reason why an algorithm refuses a shape, or None where it must not."""
    if algorithm in WINOGRAD:
        plain = conv.stride_h == conv.stride_w and (conv.dilation_h, conv.dilation_w) == (1, 1)
        in_reach = taps_of_a_phase(conv) in WINOGRAD[algorithm]
        if not (plain and conv.stride_h in (1, 2, 4) and in_reach):
            taps = " or ".join(f"{t}x{t}" for t in WINOGRAD[algorithm])
            return (
                "Winograd convolution needs dilation 1, a stride of 1, 2 or 4 in both directions "
                f"and {taps} taps of the kernel in each of its phases"
            )
    if algorithm == "mec" and conv.kernel_h <= conv.stride_h:
        return "MEC needs a kernel higher than its vertical stride; use im2col"
    if algorithm == "depthwise" and conv.channels_per_group > 1:
        return (
            "depthwise convolution needs one channel per group, the weight has "
            f"{conv.channels_per_group}; use SparseConv or Conv"
        )
    return None
