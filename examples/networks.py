"""Build well-known networks with pruned random weights: something real-sized to optimize.

    python examples/networks.py resnet50 --sparsity 0.9 -o resnet50.onnx

The weights are random, so the networks know nothing, but they behave like trained ones where it
matters to a compiler: every layer's output is normalised on four seeded images and the
normalisation is folded into weight and bias, as a batch norm's would be.  So activations neither
explode nor fade, about half of them are zero, and different images give different logits.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["NETWORKS", "images", "mobilenet_v1", "resnet50", "vgg16"]

Array = NDArray[np.float32]

OPSET = 17
IR_VERSION = 8

# Standard deviation of a residual branch against the path it is added to.  A branch as strong as
# the path would let the values grow through the blocks of a stage.
BRANCH_GAIN = 0.5

PROBES = 4

NORMALIZE = onnx.parser.parse_function("""
<opset_import: ["": 17], domain: "examples">
Normalize <gain, per_channel, spread> (x) => (y, mean, scale) {
  mean = ReduceMean <axes: ints = @per_channel> (x)
  centred = Sub (x, mean)
  square = Mul (centred, centred)
  variance = ReduceMean <axes: ints = @spread> (square)
  epsilon = Constant <value_float: float = 1e-5> ()
  positive = Add (variance, epsilon)
  deviation = Sqrt (positive)
  target = Constant <value_float: float = @gain> ()
  scale = Div (deviation, target)
  y = Div (centred, scale)
}
""")


def resnet50(sparsity: float = 0.9, seed: int = 0, batch: int | None = 1) -> onnx.ModelProto:
    """ResNet-50 v1.5 (the stride is in the 3x3), input (batch, 3, 224, 224), 1000 logits.

    Every weight but the first convolution's is pruned to ``sparsity``; ``batch`` None is dynamic.
    """
    net = Builder(sparsity, np.random.default_rng(seed))
    x = net.relu(net.conv(net.input, "conv1", 64, kernel=7, stride=2, prune=False))
    x = net.max_pool(x, "maxpool", kernel=3, stride=2, pad=1)
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = bottleneck(net, x, f"layer{stage}.{block}", width, stride, project=block == 0)
    x = net.linear(net.flat_mean(x), "fc", 1000)
    return net.model("resnet50", x, batch)


def bottleneck(
    net: "Builder", x: "Signal", name: str, width: int, stride: int, project: bool
) -> "Signal":
    filters = 4 * width
    branch = net.relu(net.conv(x, f"{name}.conv1", width))
    branch = net.relu(net.conv(branch, f"{name}.conv2", width, kernel=3, stride=stride))
    branch = net.conv(branch, f"{name}.conv3", filters, gain=BRANCH_GAIN)
    if project:
        x = net.conv(x, f"{name}.downsample", filters, stride=stride)
    return net.relu(net.add(x, branch, f"{name}.add"))


def vgg16(
    sparsity: float = 0.9, seed: int = 0, batch: int | None = 1, fully_connected: bool = True
) -> onnx.ModelProto:
    """VGG-16, input (batch, 3, 224, 224), 1000 logits.

    Every weight but the first convolution's is pruned to ``sparsity``; ``batch`` None is dynamic.
    Without ``fully_connected``, a global mean and one linear layer stand for the three that hold
    nine tenths of the weights.
    """
    net = Builder(sparsity, np.random.default_rng(seed))
    x = net.input
    for stage, widths in enumerate(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)):
        for index, width in enumerate(widths):
            first = stage == index == 0
            name = f"conv{stage + 1}_{index + 1}"
            x = net.relu(net.conv(x, name, width, kernel=3, prune=not first))
        x = net.max_pool(x, f"pool{stage + 1}", kernel=2, stride=2)
    if fully_connected:
        x = net.relu(net.linear(net.flat(x), "fc6", 4096))
        x = net.linear(net.relu(net.linear(x, "fc7", 4096)), "fc8", 1000)
    else:
        x = net.linear(net.flat_mean(x), "fc", 1000)
    return net.model("vgg16", x, batch)


def mobilenet_v1(sparsity: float = 0.9, seed: int = 0, batch: int | None = 1) -> onnx.ModelProto:
    """MobileNetV1 at width 1, input (batch, 3, 224, 224), 1000 logits.

    Only the 1x1 convolutions are pruned to ``sparsity``; ``batch`` None is dynamic.
    """
    net = Builder(sparsity, np.random.default_rng(seed))
    x = net.relu(net.conv(net.input, "conv", 32, kernel=3, stride=2, prune=False))
    widths = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    halving = {1, 3, 5, 11}
    for index, width in enumerate(widths):
        stride = 2 if index in halving else 1
        depthwise = net.conv(
            x,
            f"block{index}.depthwise",
            x.channels,
            kernel=3,
            stride=stride,
            groups=x.channels,
            prune=False,
        )
        x = net.relu(net.conv(net.relu(depthwise), f"block{index}.pointwise", width))
    x = net.linear(net.flat_mean(x), "fc", 1000, prune=False)
    return net.model("mobilenet_v1", x, batch)


NETWORKS: dict[str, Callable[[float, int, int | None], onnx.ModelProto]] = {
    "mobilenet_v1": mobilenet_v1,
    "resnet50": resnet50,
    "vgg16": vgg16,
}


@dataclass(frozen=True)
class Signal:
    """A value of the graph: its channels, and its pixels per channel."""

    name: str
    channels: int
    pixels: int


@dataclass
class Builder:
    """Nodes and weights so far.  Feature maps are square, a convolution pads by half its kernel."""

    sparsity: float
    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    parameters: dict[str, Array] = field(default_factory=dict[str, Array])
    gains: dict[str, float] = field(default_factory=dict[str, float])

    input = Signal("input", channels=3, pixels=224 * 224)

    def conv(
        self,
        x: Signal,
        name: str,
        filters: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        prune: bool = True,
        gain: float = 1.0,
    ) -> Signal:
        shape = (filters, x.channels // groups, kernel, kernel)
        inputs = [x.name, *self.weigh(name, shape, prune, gain)]
        window = windowed(kernel, stride, kernel // 2)
        self.emit("Conv", inputs, name, {**window, "group": groups})
        return Signal(name, filters, x.pixels // stride**2)

    def linear(self, x: Signal, name: str, outputs: int, *, prune: bool = True) -> Signal:
        inputs = [x.name, *self.weigh(name, (outputs, x.channels), prune, gain=1.0)]
        self.emit("Gemm", inputs, name, {"transB": 1})
        return Signal(name, outputs, 1)

    def relu(self, x: Signal) -> Signal:
        return Signal(self.emit("Relu", [x.name], f"{x.name}.relu"), x.channels, x.pixels)

    def max_pool(self, x: Signal, name: str, *, kernel: int, stride: int, pad: int = 0) -> Signal:
        self.emit("MaxPool", [x.name], name, windowed(kernel, stride, pad))
        return Signal(name, x.channels, x.pixels // stride**2)

    def add(self, x: Signal, y: Signal, name: str) -> Signal:
        return Signal(self.emit("Add", [x.name, y.name], name), x.channels, x.pixels)

    def flat(self, x: Signal) -> Signal:
        name = self.emit("Flatten", [x.name], f"{x.name}.flat")
        return Signal(name, x.channels * x.pixels, 1)

    def flat_mean(self, x: Signal) -> Signal:
        name = self.emit("GlobalAveragePool", [x.name], f"{x.name}.mean")
        return self.flat(Signal(name, x.channels, 1))

    def weigh(self, name: str, shape: tuple[int, ...], prune: bool, gain: float) -> tuple[str, str]:
        """Add a He-scaled weight, pruned by magnitude, and a zero bias; return their names."""
        weight = self.rng.standard_normal(shape, dtype=np.float32)
        if prune:
            magnitude = np.abs(weight)
            zeros = round(self.sparsity * weight.size)
            weight[magnitude < np.partition(magnitude, zeros, axis=None)[zeros]] = 0
        weight *= math.sqrt(2 * shape[0]) / np.linalg.norm(weight)
        self.gains[name] = gain
        self.parameters[f"{name}.weight"] = weight
        self.parameters[f"{name}.bias"] = np.zeros(shape[0], np.float32)
        return f"{name}.weight", f"{name}.bias"

    def emit(
        self, op: str, inputs: Sequence[str], name: str, attributes: Mapping[str, Any] | None = None
    ) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **(attributes or {})))
        return name

    def model(self, name: str, output: Signal, batch: int | None) -> onnx.ModelProto:
        """Normalise every layer and return the network that ends in ``output``."""
        self.normalize()
        rows = "batch" if batch is None else batch
        return self.assemble(name, self.nodes, rows, [(output.name, [rows, output.channels])])

    def normalize(self) -> None:
        """Fold into each weight and bias what normalises its output on the probe images."""
        nodes: list[onnx.NodeProto] = []
        for node in self.nodes:
            nodes.append(node)
            if node.name in self.gains:
                nodes[-1:] = probed(node, self.gains[node.name])
        found = [f"{layer}.{what}" for layer in self.gains for what in ("mean", "scale")]
        probe = self.assemble("probe", nodes, PROBES, [(name, None) for name in found])
        statistics = dict(zip(found, run(probe, images(self.rng, PROBES)), strict=True))
        for layer in self.gains:
            weight = self.parameters[f"{layer}.weight"]
            mean, scale = statistics[f"{layer}.mean"], statistics[f"{layer}.scale"]
            weight /= scale.reshape(-1, *[1] * (weight.ndim - 1))
            self.parameters[f"{layer}.bias"] = -(mean / scale).reshape(-1)

    def assemble(
        self,
        name: str,
        nodes: Sequence[onnx.NodeProto],
        rows: int | str,
        outputs: Sequence[tuple[str, Sequence[int | str] | None]],
    ) -> onnx.ModelProto:
        side = math.isqrt(self.input.pixels)
        shape = [rows, self.input.channels, side, side]
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(self.input.name, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, dims) for o, dims in outputs],
            [numpy_helper.from_array(array, key) for key, array in self.parameters.items()],
        )
        normalizes = any(node.domain == NORMALIZE.domain for node in nodes)
        domains = {"": OPSET, NORMALIZE.domain: 1} if normalizes else {"": OPSET}
        return helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(*pair) for pair in domains.items()],
            functions=[NORMALIZE] if normalizes else [],
        )


def windowed(kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}


def probed(node: onnx.NodeProto, gain: float) -> list[onnx.NodeProto]:
    """``node`` followed by the normalisation of its output."""
    raw = onnx.NodeProto()
    raw.CopyFrom(node)
    raw.output[0] = f"{node.name}.raw"
    # One value per image is too few for a deviation of its own: the outputs of Gemm share one.
    per_channel, spread = ([0, 2, 3],) * 2 if node.op_type == "Conv" else ([0], [0, 1])
    normalize = helper.make_node(
        NORMALIZE.name,
        [raw.output[0]],
        [node.output[0], f"{node.name}.mean", f"{node.name}.scale"],
        domain=NORMALIZE.domain,
        gain=gain,
        per_channel=per_channel,
        spread=spread,
    )
    return [raw, normalize]


def run(model: onnx.ModelProto, batch: Array) -> list[Array]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: Any = session.run(None, {Builder.input.name: batch})
    return outputs


def images(rng: np.random.Generator, count: int) -> Array:
    """Noise with detail at every scale, as photographs have: (count, 3, 224, 224), variance 1."""
    scales = (1, 4, 16, 56)
    total = np.zeros((count, 3, 224, 224), np.float32)
    for scale in scales:
        coarse = rng.standard_normal((count, 3, 224 // scale, 224 // scale), dtype=np.float32)
        total += coarse.repeat(scale, axis=2).repeat(scale, axis=3)
    return total / np.float32(math.sqrt(len(scales)))


def main() -> None:
    """Read the command line, write the file."""
    parser = argparse.ArgumentParser(description="Write a pruned network with random weights.")
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sparsity", type=share_of_zeros, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=batch_size, default=1, help="a number, or 'dynamic'")
    options = parser.parse_args()

    model = NETWORKS[options.network](options.sparsity, options.seed, options.batch)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(model.SerializeToString())


def share_of_zeros(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share of zeros from 0 to below 1")
    return value


def batch_size(text: str) -> int | None:
    return None if text == "dynamic" else int(text)


if __name__ == "__main__":
    main()
