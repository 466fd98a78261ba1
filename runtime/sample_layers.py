"""The layers that ``microbench`` times: shapes of networks that people use, and others around them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparsepass.layer import Array, Epilogue, Layer

__all__ = ["Shape", "sample_layers", "sample_shapes"]

# Shares of zeros that weights get in turn.
SPARSITIES = (0.5, 0.65, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Shape:
    """A square convolution with padding that keeps the size (but for the stride); no kernel: Gemm."""

    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1
    axes: int = 2


# ResNet-18 and -50, their versions for CIFAR, VGG, SqueezeNet, AlexNet, Inception.
SPATIAL = (
    *(Shape(c, c, s, 3) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, 2 * c, 2 * s, 3, 2) for c, s in ((64, 28), (128, 14), (256, 7))),
    *(Shape(c, c, s, 3) for c, s in ((16, 32), (32, 16), (64, 8), (48, 48), (96, 24), (24, 96))),
    *(
        Shape(c, f, s, 3)
        for c, f, s in ((64, 64, 224), (64, 128, 112), (128, 256, 56), (256, 512, 28))
    ),
    *(Shape(c, f, s, 3) for c, f, s in ((16, 64, 55), (32, 128, 27), (48, 192, 13), (64, 256, 13))),
    *(Shape(c, f, s, 5) for c, f, s in ((64, 192, 27), (32, 64, 28), (24, 64, 14))),
    *(Shape(c, f, s, 3) for c, f, s in ((192, 384, 13), (40, 80, 20), (20, 36, 40), (72, 72, 10))),
    *(Shape(c, f, s, 3, 2) for c, f, s in ((32, 64, 112), (96, 128, 28), (48, 96, 40))),
)
FIRST = tuple(
    Shape(3, f, s, k, stride)
    for f, s, k, stride in (
        (64, 224, 7, 2), (64, 224, 3, 1), (96, 227, 7, 2), (32, 224, 3, 2), (16, 32, 3, 1),
        (64, 224, 11, 4), (24, 192, 5, 2), (64, 32, 3, 1), (48, 128, 3, 2), (16, 320, 3, 2),
    )
)  # fmt: skip
POINTWISE = (
    *(Shape(c, 4 * c, s, 1) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(4 * c, c, s, 1) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(4 * c, 8 * c, 2 * s, 1, 2) for c, s in ((64, 28), (128, 14), (256, 7))),
    *(Shape(c, c, s, 1) for c, s in ((64, 56), (128, 56), (256, 28), (512, 14), (1024, 7))),
    *(Shape(c, 2 * c, s, 1) for c, s in ((32, 112), (64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, 6 * c, s, 1) for c, s in ((16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7))),
    *(Shape(6 * c, c, s, 1) for c, s in ((16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7))),
    *(Shape(c, f, s, 1) for c, f, s in ((96, 16, 55), (128, 32, 27), (512, 64, 13), (512, 1000, 13))),
    *(Shape(c, f, s, 1) for c, f, s in ((40, 96, 24), (96, 40, 24), (36, 72, 48), (20, 40, 96))),
)  # fmt: skip
DEPTHWISE = (
    *(Shape(c, c, s, 3, 1, c) for c, s in ((32, 112), (128, 56), (256, 28), (512, 14), (1024, 7))),
    *(Shape(c, c, s, 3, 2, c) for c, s in ((64, 112), (128, 56), (256, 28), (512, 14), (96, 112))),
    *(Shape(c, c, s, 5, 1, c) for c, s in ((72, 28), (240, 28), (480, 14), (672, 7), (40, 48))),
    *(Shape(c, c, s, 3, 1, c) for c, s in ((24, 96), (36, 48), (144, 56), (192, 28), (576, 14))),
)
GROUPED = (
    *(Shape(c, c, s, 3, 1, 4) for c, s in ((128, 56), (256, 28), (512, 14), (1024, 7), (64, 28))),
    *(
        Shape(c, f, s, k, 1, 2)
        for c, f, s, k in ((96, 256, 27, 5), (384, 384, 13, 3), (64, 64, 56, 1))
    ),
    *(Shape(c, c, s, 3, 1, 8) for c, s in ((128, 28), (256, 14), (512, 7))),
)
UNBLOCKED_GROUPS = (
    *(Shape(c, c, s, 3, 1, 32) for c, s in ((128, 56), (256, 28), (512, 14))),
    *(Shape(c, 2 * c, s, 3, 2, 16) for c, s in ((128, 56), (64, 28))),
    *(
        Shape(c, c, s, 1, 1, g)
        for c, s, g in ((240, 28, 3), (480, 14, 3), (120, 28, 3), (96, 28, 8))
    ),
    *(Shape(c, c, s, 3, 1, c) for c, s in ((22, 28), (58, 28), (30, 56), (110, 14))),
)
UNBLOCKED = (
    *(Shape(c, f, s, 3) for c, f, s in ((22, 44, 28), (50, 50, 28), (90, 110, 14), (30, 30, 56))),
    *(Shape(c, f, s, 1) for c, f, s in ((22, 66, 56), (58, 58, 28), (116, 116, 14), (250, 90, 14))),
    *(Shape(c, f, s, k, 1, 1, 1) for c, f, s, k in ((64, 64, 1024, 3), (128, 128, 256, 5))),
    *(Shape(c, f, s, k, 1, 1, 1) for c, f, s, k in ((256, 256, 128, 3), (64, 128, 512, 1))),
)  # fmt: skip
PRODUCTS = tuple(
    Shape(c, f, 0, 0)
    for c, f in ((512, 1000), (2048, 1000), (1024, 1000), (64, 10), (4096, 1000), (1280, 1000), (512, 512))
)  # fmt: skip

TABLES = (SPATIAL, FIRST, POINTWISE, DEPTHWISE, GROUPED, UNBLOCKED_GROUPS, UNBLOCKED, PRODUCTS)


def sample_shapes() -> Iterator[Shape]:
    """All shapes, long and short ones mixed."""
    for table in TABLES:
        yield from table


def sample_layers(
    shape: Shape, name: str, rng: np.random.Generator, sparsities: int
) -> list[Layer]:
    """Layers of one shape with ``sparsities`` different shares of zeros in their weights."""
    first = int(rng.integers(len(SPARSITIES)))
    step = max(1, len(SPARSITIES) // sparsities)
    shares = [SPARSITIES[(first + i * step) % len(SPARSITIES)] for i in range(sparsities)]
    return [make_layer(shape, f"{name}.{i}", s, rng) for i, s in enumerate(shares)]


def make_layer(shape: Shape, name: str, sparsity: float, rng: np.random.Generator) -> Layer:
    """A layer with random weights, of which the share ``sparsity`` is zero, followed by a Relu."""
    axes = shape.axes if shape.kernel else 0
    kernel = (shape.kernel,) * axes
    return Layer(
        name=name, op_type="Conv" if axes else "Gemm", batch=1, groups=shape.groups,
        kernel=kernel, strides=(shape.stride,) * axes, dilations=(1,) * axes,
        pads=(shape.kernel // 2,) * 2 * axes, input_spatial=(shape.size,) * axes,
        weight=random_weight((shape.filters, shape.channels // shape.groups, *kernel), sparsity, rng),
        bias=np.zeros(shape.filters, np.float32),
        epilogue=Epilogue(activation="Relu") if axes else Epilogue(),
    )  # fmt: skip


def random_weight(dims: tuple[int, ...], sparsity: float, rng: np.random.Generator) -> Array:
    weight = rng.standard_normal(dims, np.float32)
    return np.where(rng.random(dims, np.float32) < sparsity, np.float32(0), weight)
