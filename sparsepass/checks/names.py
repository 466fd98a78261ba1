"""The names of a model file: who makes each value, who reads it, and whether that ends."""

import graphlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import onnx
from onnx import GraphProto, NodeProto

from sparsepass.checks.walk import all_nodes, flat, subgraphs, title
from sparsepass.errors import ModelError
from sparsepass.limits import MOST_CALLS, MOST_NODES

__all__ = ["check_functions", "check_scope"]


def check_scope(nodes: Sequence[NodeProto], graph: GraphProto, label: str, outer: set[str]) -> None:
    """Check names of one graph: each value made once, nothing read that is not made, no cycle."""
    constants = [tensor.name for tensor in graph.initializer]
    constants += [sparse.values.name for sparse in graph.sparse_initializer]
    inputs = [value.name for value in graph.input]
    for kind, names in (("initializer", constants), ("input", inputs)):
        if (name := repeated(names)) is not None:
            raise ModelError(f"{label}: {kind} {name!r} appears twice; export the model again")
    makers = check_nodes(nodes, {*constants, *inputs}, label, outer)
    for value in graph.output:
        if value.name not in {*makers, *constants, *inputs, *outer}:
            raise ModelError(
                f"{label}: nothing makes the output {value.name!r}; export the model again"
            )


def check_functions(proto: onnx.ModelProto, label: str) -> None:
    """Check every function body and call, that none calls itself, and what calls grow to."""
    for function in proto.functions:
        check_body(function, label)
    functions = {(f.domain, f.name): f for f in proto.functions}
    for node in all_nodes(proto):
        if function := functions.get((node.domain, node.op_type)):
            check_call(node, function, label)
    calls = {
        key: [(n.domain, n.op_type) for n in flat(f.node) if (n.domain, n.op_type) in functions]
        for key, f in functions.items()
    }
    try:
        callees_first = list(graphlib.TopologicalSorter(calls).static_order())
    except graphlib.CycleError as error:
        raise ModelError(
            f"{label}: function {error.args[1][0][1]!r} calls itself; remove the call"
        ) from None
    # How often each is called when all calls are inlined; those that nobody calls are as well.
    times = Counter((n.domain, n.op_type) for n in flat(proto.graph.node))
    for key in reversed(callees_first):
        times[key] = max(times[key], 1)
        for callee in calls[key]:
            times[callee] += times[key]
    check_growth({key: (times[key], functions[key]) for key in functions}, label)


def check_call(node: NodeProto, function: onnx.FunctionProto, label: str) -> None:
    """Refuse what ONNX Runtime does: inputs may be left out, outputs only by an empty name."""
    if len(node.input) > len(function.input) or len(node.output) != len(function.output):
        raise ModelError(
            f"{label}: {title(node)} has {len(node.input)} inputs and {len(node.output)} outputs, "
            f"its function {len(function.input)} and {len(function.output)}; export the model again"
        )


def check_growth(
    called: Mapping[tuple[str, str], tuple[int, onnx.FunctionProto]], label: str
) -> None:
    """Refuse functions that call functions so often that inlining them would not end."""
    calls = sum(times for times, _ in called.values())
    nodes = sum(times * len(function.node) for times, function in called.values())
    for what, count, most in (("calls", calls, MOST_CALLS), ("nodes", nodes, MOST_NODES)):
        if count > max(most, len(called)):
            grown = f"{count:,}" if count < 1 << 63 else "over 2^63"
            _, worst = max(called.values(), key=lambda pair: pair[0])
            raise ModelError(
                f"{label}: functions grow to {grown} {what} when they are inlined, most of "
                f"{worst.name!r}, and {most:,} are taken; call fewer functions from functions"
            )


def check_body(function: onnx.FunctionProto, label: str) -> None:
    makers = check_nodes(function.node, set(function.input), label, set())
    for name in function.output:
        if name not in makers and name not in function.input:
            raise ModelError(
                f"{label}: nothing makes {name!r} of function {function.name!r}; export again"
            )


def check_nodes(
    nodes: Sequence[NodeProto], given: set[str], label: str, outer: set[str]
) -> dict[str, int]:
    """Check the nodes of one graph or function and return which node makes each value."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in given:
                raise ModelError(
                    f"{label}: value {name!r} is made twice, again by {title(node)}; rename one"
                )
            makers[name] = index
    known = {*makers, *given, *outer}
    for node in nodes:
        for name in filter(None, node.input):
            if name not in known:
                raise ModelError(
                    f"{label}: {title(node)} reads {name!r}, which nothing makes; export again"
                )
        for body in subgraphs(node):
            check_scope(body.node, body, label, known)
    order = graphlib.TopologicalSorter(
        {
            i: [makers[name] for name in reads(node) if name in makers]
            for i, node in enumerate(nodes)
        }
    )
    try:
        order.prepare()
    except graphlib.CycleError as error:
        index = int(error.args[1][0])
        raise ModelError(
            f"{label}: {title(nodes[index])} depends on its own output; break the cycle"
        ) from None
    return makers


def reads(node: NodeProto) -> Iterator[str]:
    """Yield the names that ``node`` and the bodies inside it read."""
    yield from node.input
    for body in subgraphs(node):
        for inner in body.node:
            yield from reads(inner)
        yield from (value.name for value in body.output)


def repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)
