"""The models that engines are compared on."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from results import ROOT

SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "examples" / "networks.py"

BGR = "mean=104,117,123;std=1;scale=1;order=bgr"
SIGNED = "mean=0.5;std=0.5"
LUMA = "mean=0;std=1;scale=255;order=gray;size=256"
IMAGENET = SHARED / "images" / "imagenet"
FACES = SHARED / "images" / "face"
CIFAR = SHARED / "images" / "cifar10-jpeg"
SET5 = SHARED / "images" / "set5"

# Inputs of one shape, of which the optimizer takes half for its statistics.
SPARSE_SAMPLES = 8

Samples = Path | np.ndarray | None


@dataclass(frozen=True)
class Case:
    """A model, the samples it is optimized and timed with, and how pictures become inputs.

    ``others`` are inputs that the same optimized file is timed with as well, by the name of their
    row in the table.
    """

    name: str
    write: Callable[[Path], None]
    threads: int = 1
    samples: Samples = None
    transform: str = ""
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Samples]:
        """What the model is timed with, by the name of the row."""
        return {self.name: self.samples, **self.others}


def example(network: str, sparsity: int, batch: int, threads: int) -> Case:
    """A network of examples/networks.py, pruned to ``sparsity`` percent."""
    name = f"{network} {sparsity} % b{batch} t{threads}"
    return Case(name, lambda path: write_example(path, network, sparsity, batch), threads)


def write_example(path: Path, network: str, sparsity: int, batch: int) -> None:
    options = ["--sparsity", str(sparsity / 100), "--batch", str(batch), "-o", str(path)]
    subprocess.run([sys.executable, str(EXAMPLES), network, *options], check=True)


def real(name: str, images: Path | None = None, transform: str = "") -> Case:
    """A network of ../shared/models."""
    source = SHARED / "models" / f"{name}.onnx"
    return Case(name, lambda path: shutil.copyfile(source, path), 1, images, transform)


def stack(channels: int, size: int, depth: int) -> Case:
    """Dense 3x3 convolutions in a row."""
    name = f"{depth} x conv 3x3 {channels} {size}x{size}"
    return Case(name, lambda path: write_stack(path, channels, size, depth))


def sparse_input(channels: int, size: int, zeros: int) -> Case:
    """A dense 3x3 convolution of an input with ``zeros`` percent zeros, then of a dense one."""
    name = f"conv 3x3 {channels} {size}x{size}"
    rng = np.random.default_rng(0)
    shape = (SPARSE_SAMPLES, channels, size, size)
    dense = np.abs(rng.standard_normal(shape, np.float32)) + np.float32(0.1)
    sparse = dense * (rng.random(shape) >= zeros / 100)
    return Case(
        f"{name}, input {zeros} % zero",
        lambda path: write_stack(path, channels, size, depth=1),
        samples=sparse,
        others={f"{name}, same file, dense input": dense},
    )


def write_stack(path: Path, channels: int, size: int, depth: int) -> None:
    names = ["x", *(f"t{i}" for i in range(1, depth)), "y"]
    nodes = "\n".join(
        f"  {names[i + 1]} = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> ({names[i]}, w{i})"
        for i in range(depth)
    )
    shape = f"float[1, {channels}, {size}, {size}]"
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> stack ({shape} x) => ({shape} y) {{\n{nodes}\n}}'
    )
    rng = np.random.default_rng(0)
    for i in range(depth):
        weight = rng.standard_normal((channels, channels, 3, 3), np.float32)
        weight /= np.float32(np.sqrt(9 * channels))
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, f"w{i}"))
    onnx.save(model, path)


def written() -> tuple[Case, ...]:
    """The networks that are written with torch, where it is installed."""
    if find_spec("torch") is None:
        return ()
    from torch_networks import NETWORKS, write_network

    return tuple(Case(name, partial(write_network, name)) for name in NETWORKS)


def cases() -> tuple[Case, ...]:
    """All cases; those of real networks only where ../shared is there."""
    made = (
        *written(),
        *(example("resnet50", sparsity, 1, 1) for sparsity in (90, 80, 95)),
        example("resnet50", 90, 1, 2),
        *(example("resnet50", sparsity, 16, 1) for sparsity in (90, 80)),
        example("mobilenet_v1", 90, 1, 1),
        *(example("vgg16", sparsity, 1, 1) for sparsity in (90, 0)),
        stack(128, 56, depth=4),
        stack(256, 28, depth=4),
        sparse_input(256, 14, zeros=70),
        sparse_input(512, 7, zeros=90),
    )
    if not SHARED.is_dir():
        return made
    return (
        *made,
        real("alexnet-pruned-l1-top1_56.3-convtrunk"),
        real("squeezenet1.0-pruned-deepcompression-imagenet", transform=BGR),
        real("mediapipe-face-fullrange-sparse"),
        real("vdsr-superres", SET5, LUMA),
        real("resnet50v2-trunk-stage3-imagenet", IMAGENET),
        real("resnet56-cifar10", CIFAR),
        real("resnet20-cifar10", CIFAR),
        real("mobilenet-edgetpu-0.75-224-imagenet", IMAGENET, SIGNED),
        real("ultraface-rfb-320", FACES, "mean=127;std=128;scale=1"),
        real("squeezenet1.1-imagenet", IMAGENET),
    )
