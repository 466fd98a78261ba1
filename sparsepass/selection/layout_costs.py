"""What layouts cost around layers whose algorithms are given.

``choose`` finds the best algorithms under the same prices.  Here one plan is priced, and
what changes where a single layer changes sides: from ONNX Runtime's blocked layout to NCHW, where
custom operators run, or back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sparsepass.cost import CostModel
from sparsepass.graph.layout import blocked_nodes
from sparsepass.layer import Layer
from sparsepass.selection.layouts import bytes_moved

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["LayoutCosts", "Sides"]

# Operators that only look at a tensor in another way.
VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape", "Constant")


class Sides(NamedTuple):
    """The layers that run as custom operators, and the nodes that write blocked channels then."""

    lowered: frozenset[str]
    blocked: frozenset[str]


class LayoutCosts:
    """Prices of the layout graph of a network, see ``graph.layout_graph``, in microseconds."""

    def __init__(self, graph: "nx.DiGraph[str]", layers: Iterable[Layer], costs: CostModel):
        self.graph, self.costs = graph, costs
        self.nodes = dict(cast(Any, graph.nodes(data=True)))
        self.additions = {
            layer.name: next(iter(graph.successors(layer.name)))
            for layer in layers
            if layer.epilogue.residual
        }
        self.covered = set(self.additions.values()) | activations_of(graph, layers, self.additions)
        self.sizes = {name: bytes_moved(graph, name) for name in graph}
        self.readers: dict[str, dict[tuple[str, float], list[str]]] = defaultdict(dict)
        for source, reader, data in cast(Any, graph.edges(data=True)):
            value = data["value"], data["bytes"]
            self.readers[source].setdefault(value, []).append(reader)

    def sides(self, lowered: Collection[str]) -> Sides:
        """The layouts of all nodes where the ``lowered`` layers are custom operators."""
        return Sides(frozenset(lowered), blocked_nodes(self.graph, lowered))

    def total(self, sides: Sides) -> float:
        """All changes of layout, and what operators between layers take more in NCHW."""
        return sum(self.at(name, sides) for name in self.nodes)

    def flip(self, layer: str, sides: Sides) -> float:
        """What ``total`` grows by where ``layer`` alone changes sides."""
        other = self.flipped(layer, sides)
        changed = (sides.blocked ^ other.blocked) | {layer}
        touched = changed.union(*(self.graph.predecessors(name) for name in changed))
        return sum(self.at(name, other) - self.at(name, sides) for name in touched)

    def rest(self) -> float:
        """The operators that belong to no layer, as passes over their data: an estimate."""
        return sum(
            self.costs.pass_over(self.sizes[name])
            for name, data in self.nodes.items()
            if data["kind"] != "layer" and data["op_type"] and name not in self.covered
            if data["op_type"] not in VIEWS and self.sizes[name]
        )

    def at(self, name: str, sides: Sides) -> float:
        """What a node and the tensors that it writes cost besides the node's own work."""
        node, blocked = self.nodes[name], name in sides.blocked
        cost = 0.0
        if node["kind"] == "transparent" and not blocked:
            cost += self.costs.unblocked(node["op_type"], self.sizes[name])
        addition = self.additions.get(name)
        if addition and blocked and addition not in sides.blocked:
            cost += self.costs.pass_over(self.sizes[addition])
        change = self.costs.from_blocked if blocked else self.costs.to_blocked
        for (_, size), readers in self.readers.get(name, {}).items():
            if any(self.reads_blocked(reader, sides) != blocked for reader in readers):
                cost += change(size)
        return cost

    def reads_blocked(self, name: str, sides: Sides) -> bool:
        """Whether a node wants its inputs in the blocked layout."""
        node = self.nodes[name]
        if node["kind"] == "layer":
            return node["reads_blocked"] and name not in sides.lowered
        return name in sides.blocked

    def flipped(self, layer: str, sides: Sides) -> Sides:
        """The sides after one layer changed: what follows it is looked at until nothing changes."""
        lowered, blocked = sides.lowered ^ {layer}, set(sides.blocked)
        if self.nodes[layer]["writes_blocked"]:
            blocked ^= {layer}
        waiting = list(self.graph.successors(layer))
        while waiting:
            name = waiting.pop()
            if self.nodes[name]["kind"] != "transparent":
                continue
            follows = all(source in blocked for source in self.graph.predecessors(name))
            if follows != (name in blocked):
                blocked ^= {name}
                waiting += self.graph.successors(name)
        return Sides(lowered, frozenset(blocked))


def activations_of(
    graph: "nx.DiGraph[str]", layers: Iterable[Layer], additions: dict[str, str]
) -> set[str]:
    """The nodes behind layers that are part of them as activation functions."""
    return {
        name
        for layer in layers
        if layer.epilogue.activation
        for name in graph.successors(additions.get(layer.name, layer.name))
        if cast(Any, graph.nodes[name])["kind"] != "layer"
    }
