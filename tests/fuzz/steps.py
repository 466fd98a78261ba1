"""The steps of a generated network: each takes a feature map and returns another."""

import math
from collections.abc import Callable

import numpy as np
from network import FUNCTIONS, Network, Value, floats
from onnx import TensorProto, helper

DENSITIES = (0.02, 0.1, 0.1, 0.2, 0.4, 1.0)


def conv(net: Network, x: Value, filters: int | None = None, *, keep: bool = False) -> Value:
    """A convolution of any geometry; with ``keep`` one that keeps the size of the map."""
    rng = net.rng
    groups = rng.choice([g for g in (1, 1, 1, 2, 3, x.channels) if x.channels % g == 0])
    filters = filters or groups * rng.randint(1, max(1, 48 // groups))
    if filters % groups:
        groups = 1
    kernel = [rng.choice([1, 1, 3, 3, 3, 2, 5]) for _ in range(2)]
    if not net.one_in(4):
        kernel[1] = kernel[0]
    dilation = [rng.choice([1, 1, 1, 2])] * 2
    stride = [1, 1] if keep else [rng.choice([1, 1, 1, 2, 3]) for _ in range(2)]
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    before = [(s - 1) // 2 for s in span]
    after = [s - 1 - b for s, b in zip(span, before, strict=True)]
    if not keep and net.one_in(3) and x.height >= span[0] and x.width >= span[1]:
        before = after = [0, 0]
    weight = net.normal(
        filters, x.channels // groups, *kernel, density=rng.choice(DENSITIES)
    ) / np.float32(math.sqrt(x.channels // groups * math.prod(kernel)))
    inputs = [x.name, net.constant(weight)]
    if not net.one_in(3):
        inputs.append(net.constant(net.normal(filters)))
    size = [
        (length + b + a - s) // step + 1
        for length, b, a, s, step in zip(
            (x.height, x.width), before, after, span, stride, strict=True
        )
    ]
    attributes = {"strides": stride, "dilations": dilation, "pads": [*before, *after]}
    if net.one_in(2):
        attributes["kernel_shape"] = kernel
    if groups > 1 or net.one_in(2):
        attributes["group"] = groups
    (name,) = net.node("Conv", inputs, **attributes)
    return Value(name, filters, *size)


def activation(net: Network, x: Value) -> Value:
    """An activation function, where it can be as one of the fused ones."""
    match net.rng.choice(
        ("Relu", "Relu", "LeakyRelu", "Clip", "Silu", "HardSwish", "Tanh", "PRelu")
    ):
        case "LeakyRelu":
            return net.map("LeakyRelu", x.name, like=x, alpha=0.2)
        case "Clip" if net.opset < 11:
            return net.map("Clip", x.name, like=x, min=0.0, max=6.0)
        case "Clip":
            return net.map("Clip", x.name, net.scalar(0), net.scalar(6), like=x)
        case "Silu":
            gate = net.map("Sigmoid", x.name, like=x)
            return net.map("Mul", x.name, gate.name, like=x)
        case "HardSwish":
            gate = net.map("HardSigmoid", x.name, like=x, alpha=1 / 6, beta=0.5)
            return net.map("Mul", x.name, gate.name, like=x)
        case "PRelu":
            slope = net.constant(np.abs(net.normal(x.channels, 1, 1)))
            return net.map("PRelu", x.name, slope, like=x)
        case other:
            return net.map(other, x.name, like=x)


def conv_and_activation(net: Network, x: Value) -> Value:
    return activation(net, conv(net, x))


def batch_norm(net: Network, x: Value) -> Value:
    variance = np.abs(net.normal(x.channels)) + np.float32(0.5)
    own = [net.constant(net.normal(x.channels)) for _ in range(3)]
    return net.map("BatchNormalization", x.name, *own, net.constant(variance), like=x)


def residual(net: Network, x: Value) -> Value:
    inner = conv(net, x, keep=True)
    if net.one_in(2):
        inner = activation(net, inner)
    added = conv(net, inner, x.channels, keep=True)
    operands = [x.name, added.name]
    net.rng.shuffle(operands)
    total = net.map("Add", *operands, like=x)
    return activation(net, total) if net.one_in(2) else total


def branches(net: Network, x: Value) -> Value:
    """Two convolutions of one input beside each other, or of the two parts of a split input."""
    left = right = x
    if x.channels % 2 == 0 and net.one_in(2):
        half = x.channels // 2
        inputs, attributes = [x.name], {"axis": 1}
        if net.opset < 13:
            attributes["split"] = [half, half]
        elif net.opset < 18 or net.one_in(2):
            inputs.append(net.integers(half, half))
        else:
            attributes["num_outputs"] = 2
        left, right = (
            Value(name, half, x.height, x.width)
            for name in net.node("Split", inputs, 2, **attributes)
        )
    made = [conv(net, part, keep=True) for part in (left, right)]
    if net.one_in(2):
        made = [net.map("Relu", part.name, like=part) for part in made]
    (name,) = net.node("Concat", [part.name for part in made], axis=1)
    return Value(name, sum(part.channels for part in made), x.height, x.width)


def pool(net: Network, x: Value) -> Value:
    if min(x.height, x.width) < 2:
        return x
    kernel, stride = net.rng.choice([(2, 2), (3, 2), (3, 1), (2, 1)])
    pad = kernel // 2
    op = net.rng.choice(["MaxPool", "MaxPool", "AveragePool"])
    (name,) = net.node(
        op, [x.name], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
    )
    size = [(length + 2 * pad - kernel) // stride + 1 for length in (x.height, x.width)]
    return Value(name, x.channels, *size)


def pad(net: Network, x: Value) -> Value:
    sizes = [
        0,
        0,
        *(net.rng.randrange(3) for _ in range(2)),
        0,
        0,
        *(net.rng.randrange(3) for _ in range(2)),
    ]
    if net.opset < 11:
        (name,) = net.node("Pad", [x.name], pads=sizes)
    else:
        (name,) = net.node("Pad", [x.name, net.integers(*sizes)])
    return Value(name, x.channels, x.height + sizes[2] + sizes[6], x.width + sizes[3] + sizes[7])


def scale(net: Network, x: Value) -> Value:
    """Arithmetic with a constant for each channel, on either side."""
    op = net.rng.choice(["Mul", "Add", "Sub"])
    operands = [x.name, net.constant(net.normal(x.channels, 1, 1))]
    net.rng.shuffle(operands)
    return net.map(op, *operands, like=x)


def nothing(net: Network, x: Value) -> Value:
    if net.opset < 12 or net.one_in(2):
        return net.map("Identity", x.name, like=x)
    return net.map("Dropout", x.name, like=x)


def normalisation(net: Network, x: Value) -> Value:
    return net.map("LRN", x.name, like=x, size=3)


# --- bodies --------------------------------------------------------------------------------------


def block(net: Network, x: Value) -> Value:
    """What a body computes: it keeps the size."""
    return net.rng.choice(
        [residual, lambda n, v: activation(n, conv(n, v, v.channels, keep=True))]
    )(net, x)


def branch(net: Network, x: Value) -> Value:
    """An If on a constant, or on a value of the input."""
    if net.one_in(2):
        condition = net.constant(np.array(net.one_in(2)))
    else:
        (total,) = net.node("ReduceMax", [x.name], keepdims=0)
        if net.opset < 9:
            (total,) = net.node("Cast", [total], to=TensorProto.INT32)
            (condition,) = net.node("Cast", [total], to=TensorProto.BOOL)
        else:
            (condition,) = net.node("Less", [total, net.scalar(0.5)])
    graphs = {}
    for name in ("then_branch", "else_branch"):
        body = net.body()
        graphs[name] = body.graph(name, [], block(body, x).name)
    return net.map("If", condition, like=x, **graphs)


def loop(net: Network, x: Value) -> Value:
    body = net.body()
    state = Value(net.fresh("state"), x.channels, x.height, x.width)
    step, going = net.fresh("step"), net.fresh("going")
    made = block(body, state)
    still = net.fresh("still")
    body.nodes.append(helper.make_node("Identity", [going], [still]))
    graph = body.graph(
        "repeated",
        [
            helper.make_tensor_value_info(step, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            floats(state.name, 4),
        ],
        made.name,
    )
    graph.output.insert(0, helper.make_tensor_value_info(still, TensorProto.BOOL, []))
    count = net.constant(np.array(net.rng.randint(1, 3), np.int64))
    return net.map("Loop", count, net.constant(np.array(True)), x.name, like=x, body=graph)


def scan(net: Network, x: Value) -> Value:
    """One image of the batch after the other."""
    if net.opset < 9:
        return x
    body = net.body()
    image = net.fresh("image")

    def with_axis(op: str, name: str) -> str:
        if net.opset < 13:
            return body.node(op, [name], axes=[0])[0]
        return body.node(op, [name, body.integers(0)])[0]

    inner = Value(with_axis("Unsqueeze", image), x.channels, x.height, x.width)
    made = with_axis("Squeeze", block(body, inner).name)
    graph = body.graph("scanned", [floats(image, 3)], made, rank=3)
    return net.map("Scan", x.name, like=x, num_scan_inputs=1, body=graph)


def function(net: Network, x: Value) -> Value:
    """A function of the model that is a convolution and an activation function."""
    name = net.fresh("Block")
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["s"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    imports = [helper.make_opsetid("", net.opset)]
    net.functions.append(
        helper.make_function(FUNCTIONS, name, ["x", "w", "b"], ["y"], nodes, imports)
    )
    filters = net.rng.randint(1, 24)
    weight = net.normal(filters, x.channels, 3, 3, density=net.rng.choice(DENSITIES)) / 4
    inputs = [x.name, net.constant(weight), net.constant(net.normal(filters))]
    (made,) = net.node(name, inputs, domain=FUNCTIONS)
    return Value(made, filters, x.height, x.width)


Step = Callable[[Network, Value], Value]
STEPS: tuple[Step, ...] = (
    conv_and_activation, conv_and_activation, conv_and_activation, conv, batch_norm, residual,
    residual, branches, pool, pad, scale, nothing, normalisation, branch, loop, scan, function,
)  # fmt: skip


# --- heads ---------------------------------------------------------------------------------------


def head(net: Network, x: Value) -> tuple[str, int]:
    """An output and its rank: the feature map, or what a classifier makes of it."""
    choice = net.rng.randrange(3)
    if choice == 0:
        return x.name, 4
    pooled = net.map("GlobalAveragePool", x.name, like=x)
    (flat,) = net.node("Flatten", [pooled.name], axis=1)
    classes = net.rng.randint(1, 12)
    density = net.rng.choice(DENSITIES)
    if choice == 1:
        weight = net.constant(net.normal(classes, x.channels, density=density))
        bias = net.constant(net.normal(classes))
        (logits,) = net.node("Gemm", [flat, weight, bias], transB=1)
    else:
        weight = net.constant(net.normal(x.channels, classes, density=density))
        (logits,) = net.node("MatMul", [flat, weight])
    return (net.node("Softmax", [logits], axis=1)[0] if net.one_in(3) else logits), 2
