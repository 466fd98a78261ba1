"""A network that is being generated: values with their sizes, nodes, constants, of any opset."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FUNCTIONS = "generated"


@dataclass(frozen=True)
class Value:
    """A feature map without its batch: channels and the size that it has for the fed input."""

    name: str
    channels: int
    height: int
    width: int


@dataclass
class Network:
    """What has been generated so far; bodies are networks that share the constants of the outer."""

    rng: random.Random
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    functions: list[onnx.FunctionProto] = field(default_factory=list)
    numbers: list[int] = field(default_factory=lambda: [0])

    def body(self) -> "Network":
        """A network for the body of a node: it has nodes of its own and sees what is outside."""
        return Network(self.rng, self.opset, [], self.constants, self.functions, self.numbers)

    def one_in(self, count: int) -> bool:
        return self.rng.randrange(count) == 0

    def fresh(self, stem: str) -> str:
        self.numbers[0] += 1
        return f"{stem}_{self.numbers[0]}"

    def constant(self, array: np.ndarray) -> str:
        """The name of an initializer, or of a Constant node."""
        name = self.fresh("c")
        tensor = numpy_helper.from_array(array, name)
        if self.one_in(8):
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def normal(self, *shape: int, density: float = 1.0) -> np.ndarray:
        """Normal values, of which a share is kept."""
        rng = np.random.default_rng(self.rng.getrandbits(32))
        kept = rng.random(shape) < density
        return np.where(kept, rng.standard_normal(shape), 0).astype(np.float32)

    def node(
        self, op: str, inputs: Iterable[str], outputs: int = 1, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node, now and then one without a name; returns the names of its outputs."""
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        made = helper.make_node(op, list(inputs), names, domain=domain, **attributes)
        made.name = "" if self.one_in(4) else self.fresh("node")
        self.nodes.append(made)
        return names

    def map(self, op: str, *inputs: str, like: Value, **attributes: Any) -> Value:
        """Add a node whose output has the size of ``like``."""
        (name,) = self.node(op, inputs, **attributes)
        return Value(name, like.channels, like.height, like.width)

    def graph(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], output: str, rank: int = 4
    ) -> onnx.GraphProto:
        """The nodes as the graph of a body with one output."""
        return helper.make_graph(self.nodes, name, inputs, [floats(output, rank)])


def floats(name: str, rank: int) -> onnx.ValueInfoProto:
    """A value of open sizes."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
