"""The layers that ``microbench`` times: shapes of networks that people use, and some others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparsepass.layer import Array, Epilogue, Layer

__all__ = ["TABLES", "Shape", "sample_layers", "sample_shapes"]

# Shares of zeros that weights get in turn.
SPARSITIES = (0.05, 0.3, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Shape:
    """A square convolution, padded to keep the size but for the stride; without kernel a Gemm."""

    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1
    axes: int = 2
    residual: bool = False
    dilation: int = 1

    @property
    def map_size(self) -> int:
        """Elements of the input and the output, about."""
        outputs = self.filters * (self.size // self.stride) ** self.axes
        return self.channels * self.size**self.axes + outputs

    @property
    def macs(self) -> int:
        """Multiply-adds, about."""
        outputs = self.filters * max(1, self.size // self.stride) ** self.axes
        return outputs * self.channels // self.groups * max(1, self.kernel) ** self.axes


# Channels, filters and size of layers in ResNet-18 and -50, their versions for CIFAR, VGG,
# SqueezeNet, AlexNet, Inception, MobileNet, EfficientNet, ShuffleNet, ResNeXt and face detectors.
SPATIAL = (
    *(Shape(c, c, s, 3) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, c, s, 3) for c, s in ((16, 32), (32, 16), (64, 8), (48, 48), (96, 24), (24, 96))),
    *(Shape(c, c, s, 3) for c, s in ((16, 16), (24, 24), (64, 14), (72, 10), (160, 10))),
    *(Shape(c, 2 * c, 2 * s, 3, 2) for c, s in ((64, 28), (128, 14), (256, 7))),
    *(Shape(c, f, s, 3) for c, f, s in ((64, 64, 224), (64, 128, 112), (128, 256, 56))),
    *(Shape(c, f, s, 3) for c, f, s in ((256, 512, 28), (192, 384, 13), (40, 80, 20))),
    *(Shape(c, f, s, 3) for c, f, s in ((16, 64, 55), (32, 128, 27), (48, 192, 13), (64, 256, 13))),
    *(Shape(c, f, s, 3) for c, f, s in ((20, 36, 40), (24, 96, 56), (32, 192, 28), (64, 16, 28))),
    *(Shape(c, f, s, 5) for c, f, s in ((64, 192, 27), (32, 64, 28), (24, 64, 14))),
    *(Shape(c, f, s, 3, 2) for c, f, s in ((32, 64, 112), (96, 128, 28), (48, 96, 40))),
    *(Shape(c, f, s, 3, 2) for c, f, s in ((16, 96, 112), (24, 192, 56), (16, 32, 32))),
    *(Shape(c, c, s, 3, residual=True) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, c, s, 3, residual=True) for c, s in ((16, 32), (32, 16), (64, 8), (24, 56))),
)
# What activation-sparse convolutions gather, output by output.
GATHERED = (
    *(Shape(c, c, s, 3, dilation=d) for c, s, d in ((16, 40, 2), (64, 28, 2), (256, 14, 2))),
    *(Shape(c, f, s, 5) for c, f, s in ((16, 32, 40), (96, 128, 14))),
    *(Shape(c, 2 * c, s, 3, 2) for c, s in ((32, 28), (64, 28), (128, 14), (512, 14))),
    *(Shape(c, c, s, 3, dilation=3) for c, s in ((32, 32), (128, 20))),
)
FIRST = (
    *(Shape(3, f, s, 7, 2) for f, s in ((64, 224), (96, 227), (32, 128))),
    *(Shape(3, f, s, 3, 2) for f, s in ((32, 224), (24, 192), (48, 128), (16, 320), (64, 227))),
    *(Shape(3, f, s, 3) for f, s in ((64, 224), (16, 32), (64, 32), (32, 96))),
    *(Shape(c, f, s, 1) for c, f, s in ((8, 32, 96), (8, 48, 56), (12, 72, 28), (4, 16, 48))),
    *(Shape(c, f, s, 1, residual=True) for c, f, s in ((8, 32, 96), (8, 48, 48), (12, 64, 28))),
    *(Shape(3, f, s, k, t) for f, s, k, t in ((64, 224, 11, 4), (24, 192, 5, 2), (32, 64, 5, 1))),
)
POINTWISE = (
    *(Shape(c, 4 * c, s, 1) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(4 * c, c, s, 1) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(4 * c, 8 * c, 2 * s, 1, 2) for c, s in ((64, 28), (128, 14), (256, 7))),
    *(Shape(c, c, s, 1) for c, s in ((64, 56), (128, 56), (256, 28), (512, 14), (1024, 7))),
    *(Shape(c, 2 * c, s, 1) for c, s in ((32, 112), (64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, 6 * c, s, 1) for c, s in ((16, 112), (24, 56), (32, 28), (64, 14), (96, 14))),
    *(Shape(6 * c, c, s, 1) for c, s in ((16, 112), (24, 56), (32, 28), (64, 14), (160, 7))),
    *(Shape(c, f, s, 1) for c, f, s in ((96, 16, 55), (128, 32, 27), (512, 64, 13))),
    *(Shape(c, f, s, 1) for c, f, s in ((512, 1000, 13), (40, 96, 24), (96, 40, 24))),
    *(Shape(c, f, s, 1) for c, f, s in ((36, 72, 48), (20, 40, 96), (32, 8, 96), (64, 16, 48))),
    *(Shape(c, f, s, 1) for c, f, s in ((128, 48, 12), (192, 96, 6), (64, 32, 24), (48, 24, 48))),
    *(
        Shape(c, f, s, 1)
        for c, f, s in ((256, 64, 8), (128, 128, 4), (64, 128, 20), (320, 1280, 7))
    ),
    *(Shape(c, 4 * c, s, 1, residual=True) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(c, 4 * c, s, 1, residual=True) for c, s in ((16, 48), (32, 24), (48, 12), (96, 6))),
    *(Shape(6 * c, c, s, 1, residual=True) for c, s in ((24, 56), (32, 28), (64, 14), (160, 7))),
)
DEPTHWISE = (
    *(Shape(c, c, s, 3, 1, c) for c, s in ((32, 112), (128, 56), (256, 28), (512, 14), (1024, 7))),
    *(Shape(c, c, s, 3, 2, c) for c, s in ((64, 112), (128, 56), (256, 28), (512, 14), (96, 112))),
    *(Shape(c, c, s, 5, 1, c) for c, s in ((72, 28), (240, 28), (480, 14), (672, 7), (40, 48))),
    *(Shape(c, c, s, 3, 1, c) for c, s in ((24, 96), (36, 48), (144, 56), (192, 28), (576, 14))),
    *(Shape(c, c, s, 3, 1, c) for c, s in ((32, 24), (48, 12), (192, 12), (96, 6), (384, 6))),
    *(Shape(c, c, s, 3, 2, c) for c, s in ((64, 48), (128, 24), (192, 12), (32, 96))),
)
GROUPED = (
    *(Shape(c, c, s, 3, 1, 4) for c, s in ((128, 56), (256, 28), (512, 14), (1024, 7), (64, 28))),
    *(Shape(c, f, s, 3, 1, 2) for c, f, s in ((384, 384, 13), (384, 256, 13), (128, 128, 28))),
    *(Shape(c, f, s, k, 1, 2) for c, f, s, k in ((96, 256, 27, 5), (64, 64, 56, 1))),
    *(Shape(c, c, s, 3, 1, 8) for c, s in ((128, 28), (256, 14), (512, 7))),
)
UNBLOCKED_GROUPS = (
    *(Shape(c, c, s, 3, 1, 32) for c, s in ((128, 56), (256, 28), (512, 14))),
    *(Shape(c, 2 * c, s, 3, 2, 16) for c, s in ((128, 56), (64, 28))),
    *(Shape(c, c, s, 1, 1, 3) for c, s in ((240, 28), (480, 14), (120, 28))),
    *(Shape(c, c, s, 3, 1, c) for c, s in ((22, 28), (58, 28), (30, 56), (110, 14))),
    *(Shape(c, c, s, 3, 2, c) for c, s in ((22, 56), (58, 56), (110, 28))),
    *(Shape(c, c, s, 1, 1, g) for c, s, g in ((96, 28, 8), (64, 56, 8))),
)
UNBLOCKED = (
    *(Shape(c, f, s, 3) for c, f, s in ((22, 44, 28), (50, 50, 28), (90, 110, 14), (30, 30, 56))),
    *(Shape(c, f, s, 1) for c, f, s in ((22, 66, 56), (58, 58, 28), (116, 118, 14), (250, 90, 14))),
    *(Shape(c, f, s, k, 1, 1, 1) for c, f, s, k in ((64, 64, 1024, 3), (128, 128, 256, 5))),
    *(Shape(c, f, s, k, 1, 1, 1) for c, f, s, k in ((256, 256, 128, 3), (64, 128, 512, 1))),
)
PRODUCTS = tuple(
    Shape(c, f, 0, 0)
    for widths, filters in (
        ((512, 1024, 1280, 2048, 4096), 1000), ((64, 256, 512), 10), ((512, 1024, 9216), 4096),
        ((128, 512, 2048), 512),
    )
    for c, f in ((width, filters) for width in widths)
)  # fmt: skip

TABLES = (
    SPATIAL,
    GATHERED,
    FIRST,
    POINTWISE,
    DEPTHWISE,
    GROUPED,
    UNBLOCKED_GROUPS,
    UNBLOCKED,
    PRODUCTS,
)


def sample_shapes() -> Iterator[Shape]:
    """All shapes, one kind of layer after the other."""
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
    dims = (shape.filters, shape.channels // shape.groups, *kernel)
    return Layer(
        name=name,
        op_type="Conv" if axes else "Gemm",
        batch=1,
        groups=shape.groups,
        kernel=kernel,
        strides=(shape.stride,) * axes,
        dilations=(shape.dilation,) * axes,
        pads=(shape.kernel // 2 * shape.dilation,) * 2 * axes,
        input_spatial=(shape.size,) * axes,
        weight=random_weight(dims, sparsity, rng),
        bias=np.zeros(shape.filters, np.float32),
        epilogue=Epilogue(shape.residual, "Relu") if axes else Epilogue(),
    )


def random_weight(dims: tuple[int, ...], sparsity: float, rng: np.random.Generator) -> Array:
    weight = rng.standard_normal(dims, np.float32)
    return np.where(rng.random(dims, np.float32) < sparsity, np.float32(0), weight)
