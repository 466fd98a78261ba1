"""Replace calls of model-local functions by their bodies.

Only standard ops are left, so the layers inside functions are seen, and a model that sparsepass
wrote before is planned again from the start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from sparsepass.graph import is_standard

__all__ = ["InlineFunctions"]

CALL = "ai.sparsepass.call"
GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


@dataclass(frozen=True)
class InlineFunctions(ir.passes.InPlacePass):
    """Inline model-local functions.

    The one convolution or product of a body takes the name of the call.  Those functions stay whose
    body is of another opset than the model, or takes a graph as an attribute, and
    those that they call.
    """

    name: ClassVar[str] = "inline-functions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inline, and drop the functions that nothing calls."""
        had_functions = bool(model.functions)
        kept = closure(model, fixed(model))
        for identifier in set(model.functions) - kept:
            separate_outputs(model.functions[identifier])
        mark(model, kept)
        InlinePass(lambda function: function.identifier() not in kept)(model)
        for identifier in set(model.functions) - kept:
            del model.functions[identifier]
        name_after_calls(model)
        used = {node.domain for node in model.graph.all_nodes()} | {""}
        used |= {domain for domain, _, _ in kept}
        for domain in set(model.graph.opset_imports) - used:
            del model.graph.opset_imports[domain]
        return ir.passes.PassResult(model, modified=had_functions)


def fixed(model: ir.Model) -> Iterator[ir.OperatorIdentifier]:
    """The functions whose bodies cannot stand in the place of a call."""
    for identifier, function in model.functions.items():
        shared = set(function.opset_imports) & set(model.opset_imports)
        if any(function.opset_imports[d] != model.opset_imports[d] for d in shared):
            yield identifier
    for node in calls(model, (model.graph, *model.functions.values())):
        if any(attribute.type in GRAPHS for attribute in node.attributes.values()):
            yield node.op_identifier()


def closure(
    model: ir.Model, identifiers: Iterable[ir.OperatorIdentifier]
) -> set[ir.OperatorIdentifier]:
    """``identifiers`` and the functions that they call."""
    found: set[ir.OperatorIdentifier] = set()
    ahead = list(identifiers)
    while ahead:
        identifier = ahead.pop()
        if identifier not in found:
            found.add(identifier)
            ahead += [n.op_identifier() for n in calls(model, (model.functions[identifier],))]
    return found


def calls(model: ir.Model, scopes: Iterable[ir.Graph | ir.Function]) -> Iterator[ir.Node]:
    """The nodes that call a function of ``model``."""
    for scope in scopes:
        for node in scope.all_nodes():
            if node.op_identifier() in model.functions:
                yield node


def mark(model: ir.Model, kept: Iterable[ir.OperatorIdentifier]) -> None:
    """Let calls say their name in the metadata, which inlining hands on to the nodes of a body."""
    for node in calls(model, (model.graph,)):
        if node.name and node.op_identifier() not in kept:
            node.metadata_props[CALL] = node.name


def name_after_calls(model: ir.Model) -> None:
    """Name what was inlined, and forget the marks."""
    inlined: dict[str, list[ir.Node]] = {}
    for node in model.graph.all_nodes():
        call = node.metadata_props.pop(CALL, None)
        if call is not None and is_standard(node, "Conv", "Gemm", "MatMul"):
            inlined.setdefault(call, []).append(node)
    for call, nodes in inlined.items():
        if len(nodes) == 1:
            nodes[0].name = call


def separate_outputs(function: ir.Function) -> None:
    """Let a node of its own make each output: inlined outputs take the names of the call's."""
    seen: set[ir.Value] = set(function.inputs)
    for index, value in enumerate(function.outputs):
        if value in seen:
            node = ir.node("Identity", [value])
            function.append(node)
            function.outputs[index] = node.outputs[0]
        seen.add(value)
