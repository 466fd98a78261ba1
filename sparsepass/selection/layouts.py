"""Layouts in the programme: which nodes are blocked, and what the changes between them cost."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.selection.priced import PricedOffer
from sparsepass.selection.programme import Problem

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Term", "bytes_moved", "chosen_where", "state_layouts"]


class Term(NamedTuple):
    """A layout as a sum of variables and a constant: 1 where it is blocked, else 0."""

    variables: tuple[int, ...] = ()
    constant: float = 0.0


NCHW, ALWAYS = Term(), Term((), 1.0)


def state_layouts(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    layers: Sequence[Layer],
    priced: Mapping[str, Sequence[PricedOffer]],
    costs: CostModel,
) -> None:
    """Add the layout of every node, and the price of the changes between them."""
    chosen = chosen_where(priced, lambda c: c.blocked)
    reads: dict[str, Term] = {}
    writes: dict[str, Term] = {}
    for name, data in cast(Any, graph.nodes(data=True)):
        if data["kind"] == "transparent":
            # What NCHW costs more is taken off the price of the blocked layout: the sum differs by
            # a constant.
            discount = costs.unblocked(data["op_type"], bytes_moved(graph, name))
            reads[name] = writes[name] = Term((problem.binary(-discount),))
        elif data["kind"] == "layer":
            own = chosen.get(name) or ALWAYS
            reads[name] = own if data["reads_blocked"] else NCHW
            writes[name] = own if data["writes_blocked"] else NCHW
        else:
            reads[name] = writes[name] = ALWAYS if data["kind"] == "blocked" else NCHW
    for name, data in cast(Any, graph.nodes(data=True)):
        if data["kind"] == "transparent":
            follow_inputs(problem, reads[name], [writes[p] for p in graph.predecessors(name)])
    add_changes(problem, graph, reads, writes, costs)
    for layer in layers:
        add_unfused(problem, graph, layer, writes, costs)


def chosen_where(
    priced: Mapping[str, Sequence[PricedOffer]], holds: Callable[[PricedOffer], bool]
) -> dict[str, Term]:
    """Whether a layer has an offer of which something holds; variables are in order of offers."""
    found: dict[str, Term] = {}
    index = 0
    for layer, options in priced.items():
        found[layer] = Term(tuple(index + i for i, c in enumerate(options) if holds(c)))
        index += len(options)
    return found


def bytes_moved(graph: "nx.DiGraph[str]", name: str) -> float:
    """Bytes of the tensors that a node reads and writes."""
    ends = [*graph.in_edges(name, data=True), *graph.out_edges(name, data=True)]
    return sum({data["value"]: data["bytes"] for _, _, data in cast(Any, ends)}.values())


def follow_inputs(problem: Problem, layout: Term, inputs: Sequence[Term]) -> None:
    """A node is blocked exactly where all of its inputs are."""
    (own,) = layout.variables
    for term in inputs:
        problem.at_most([own, *term.variables], [1.0, *[-1.0] * len(term.variables)], term.constant)
    variables = [v for term in inputs for v in term.variables]
    missing = len(inputs) - 1.0 - sum(term.constant for term in inputs)
    problem.at_most([*variables, own], [*[1.0] * len(variables), -1.0], missing)


def add_changes(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    reads: Mapping[str, Term],
    writes: Mapping[str, Term],
    costs: CostModel,
) -> None:
    """A tensor that is written in one layout and read in the other is changed once."""
    readers: dict[tuple[str, str, float], list[str]] = defaultdict(list)
    for source, reader, data in cast(Any, graph.edges(data=True)):
        readers[source, data["value"], data["bytes"]].append(reader)
    for (source, _, size), names in readers.items():
        made = writes[source]
        used = {reads[name] for name in names} - {made}
        if used and made != NCHW:
            back = problem.continuous(costs.from_blocked(size))
            for term in used:
                require_change(problem, made, term, back)
        if used - {NCHW}:
            there = problem.continuous(costs.to_blocked(size))
            for term in used - {NCHW}:
                require_change(problem, term, made, there)


def add_unfused(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    layer: Layer,
    writes: Mapping[str, Term],
    costs: CostModel,
) -> None:
    """Price the residual Add of a blocked layer as a node where the Add is not blocked too."""
    if not layer.epilogue.residual or writes[layer.name] == NCHW:
        return
    (addition,) = graph.successors(layer.name)
    alone = problem.continuous(costs.pass_over(bytes_moved(graph, addition)))
    require_change(problem, writes[layer.name], writes[addition], alone)


def require_change(problem: Problem, blocked: Term, other: Term, change: int) -> None:
    """Demand ``change`` where the first layout is blocked and the second is not."""
    variables = [*blocked.variables, *other.variables, change]
    factors = [*[1.0] * len(blocked.variables), *[-1.0] * len(other.variables), -1.0]
    problem.at_most(variables, factors, other.constant - blocked.constant)
