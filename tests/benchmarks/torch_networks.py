"""Networks that are in no folder: written with torch, random weights, one of them pruned."""

import itertools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

__all__ = ["NETWORKS", "write_network"]


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution of the usual padding, its normalisation and SiLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.SiLU())


class Stage(nn.Module):
    """A cross-stage partial block: half of the channels go through 3x3 layers, all are joined."""

    def __init__(self, inputs: int, outputs: int, depth: int):
        super().__init__()
        half = outputs // 2
        self.down = conv(inputs, outputs, stride=2)
        self.first = conv(outputs, 2 * half, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(half, half), conv(half, half)) for _ in range(depth)
        )
        self.last = conv((2 + depth) * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(self.down(x)).chunk(2, 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Detector(nn.Module):
    """A small detector of the YOLO kind: five stages, one way up, a head at two sizes."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 16, stride=2)
        widths = (16, 32, 64, 128, 256)
        self.stages = nn.ModuleList(Stage(a, b, 1) for a, b in itertools.pairwise(widths))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.join = conv(128 + 256, 128, 1)
        self.heads = nn.ModuleList(
            nn.Sequential(conv(width, 64), nn.Conv2d(64, 85, 1)) for width in (128, 256)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        joined = self.join(torch.cat([self.up(maps[-1]), maps[-2]], 1))
        return self.heads[0](joined), self.heads[1](maps[-1])


class UNet(nn.Module):
    """Four sizes down and up again, two 3x3 convolutions with ReLU at each."""

    def __init__(self):
        super().__init__()
        widths = (16, 32, 64, 128)
        self.down = nn.ModuleList(pair(a, b) for a, b in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            pair(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for position, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if position else x)
            maps.append(x)
        for block, beside in zip(self.up, maps[-2::-1], strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), beside], 1))
        return self.last(x)


def pair(inputs: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def landmarks() -> nn.Module:
    """Inverted bottlenecks of a hand-landmark network, 80 % of the pointwise weights zero."""
    layers: list[nn.Module] = [conv(3, 16, stride=2)]
    width = 16
    for outputs, stride in (
        (24, 2),
        (24, 1),
        (48, 2),
        (48, 1),
        (96, 2),
        (96, 1),
        (160, 2),
        (160, 1),
    ):
        layers += [conv(width, 4 * width, 1), conv(4 * width, 4 * width, 3, stride, 4 * width)]
        layers += [nn.Conv2d(4 * width, outputs, 1), nn.BatchNorm2d(outputs)]
        width = outputs
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 63))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            prune.l1_unstructured(layer, "weight", amount=0.8)
            prune.remove(layer, "weight")
    return network


# What makes each network, and its image's size.
NETWORKS = {
    "detector with SiLU": (Detector, 320),
    "U-Net": (UNet, 192),
    "hand landmarks 80 %": (landmarks, 224),
}


def write_network(name: str, path: Path) -> None:
    """Export a network of ``NETWORKS``, the same every time."""
    make, size = NETWORKS[name]
    torch.manual_seed(0)
    network = make().eval()
    torch.onnx.export(network, (torch.zeros(1, 3, size, size),), path, dynamo=False)
