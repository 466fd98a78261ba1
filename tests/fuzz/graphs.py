"""Generated networks: a model and what it is fed, both from a seed."""

import random
from dataclasses import dataclass

import numpy as np
import onnx
from network import FUNCTIONS, Network, Value, floats
from onnx import TensorProto, helper
from steps import STEPS, head

OLDEST, NEWEST = 7, 23
FIRST_WITH_FUNCTIONS = 8
MOST_STEPS = 7


@dataclass(frozen=True)
class Generated:
    """A model, and one set of inputs or several where sizes are open."""

    model: onnx.ModelProto
    feeds: tuple[dict[str, np.ndarray], ...]


def generate(seed: int) -> Generated:
    """The network of a seed."""
    rng = random.Random(seed)
    net = Network(rng, rng.randint(OLDEST, NEWEST))
    batch = rng.choice([1, 1, 2, 3])
    x = Value("x", rng.choice([1, 3, 4, 6, 16, 24]), rng.randint(5, 19), rng.randint(5, 19))
    value, seen = x, [x]
    for _ in range(rng.randint(1, MOST_STEPS)):
        value = rng.choice(STEPS)(net, value)
        seen.append(value)
    outputs = dict([head(net, value)])
    if net.one_in(4):
        outputs.setdefault(rng.choice(seen).name, 4)
    if outputs.pop("x", None):
        outputs[net.map("Relu", "x", like=x).name] = 4
    open_batch, open_size = net.one_in(3), net.one_in(4)
    shape = ["N" if open_batch else batch, x.channels, x.height, x.width]
    if open_size:
        shape[2:] = ["H", "W"]
    return Generated(model_of(net, shape, outputs), feeds_of(x, batch, open_batch, open_size, rng))


def model_of(net: Network, shape: list[int | str], outputs: dict[str, int]) -> onnx.ModelProto:
    """A model that declares the types of its outputs and not their sizes."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    old = net.opset <= 8 and not net.functions and net.one_in(4)
    if old:
        # Before IR 4 every initializer is an input as well.
        inputs += [
            helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in net.constants
        ]
    graph = helper.make_graph(
        net.nodes,
        "generated",
        inputs,
        [floats(*output) for output in outputs.items()],
        net.constants,
    )
    imports = [helper.make_opsetid("", net.opset)]
    if net.functions:
        imports.append(helper.make_opsetid(FUNCTIONS, 1))
    return helper.make_model(
        graph, opset_imports=imports, functions=net.functions,
        ir_version=3 if old else FIRST_WITH_FUNCTIONS,
    )  # fmt: skip


def feeds_of(
    x: Value, batch: int, open_batch: bool, open_size: bool, rng: random.Random
) -> tuple[dict[str, np.ndarray], ...]:
    """Inputs of the size that the network was generated for, and of others where they are open."""
    sizes = [(batch, x.channels, x.height, x.width)]
    if open_batch:
        sizes.append((batch + 1, *sizes[0][1:]))
    if open_size:
        sizes.append((batch, x.channels, x.height + 3, x.width + 6))
    values = np.random.default_rng(rng.getrandbits(32))
    return tuple({"x": values.standard_normal(size, np.float32)} for size in sizes)
