"""Pairs of layers in the programme: one op may compute both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sparsepass.selection.layouts import Term
from sparsepass.selection.programme import Problem

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["pairs_of", "state_pair"]


def pairs_of(graph: "nx.DiGraph[str]") -> dict[str, tuple[str, str]]:
    """The layers that one op may compute, by the node that it replaces with them."""
    nodes = cast(Any, graph.nodes(data=True))
    return {name: data["pair"] for name, data in nodes if data.get("pair")}


def state_pair(
    problem: Problem, pair: tuple[str, str], saved: float, paired: Mapping[str, Term]
) -> None:
    """Take off what a node costs that goes where both layers of a pair have paired offers."""
    together = problem.continuous(-saved)
    for layer in pair:
        variables = paired[layer].variables
        problem.at_most([together, *variables], [1.0, *[-1.0] * len(variables)], 0.0)
