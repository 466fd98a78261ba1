"""The plan of least time for the whole network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.plan import Answer, Choice
from sparsepass.selection.layouts import bytes_moved, chosen_where, state_layouts
from sparsepass.selection.limits import EXACT, Limits
from sparsepass.selection.pairs import pairs_of, state_pair
from sparsepass.selection.priced import priced_offers
from sparsepass.selection.programme import Problem
from sparsepass.selection.reasons import reason

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["choose"]


def choose(
    layers: Sequence[Layer],
    answers: Mapping[str, Sequence[Answer]],
    layout_graph: "nx.DiGraph[str]",
    costs: CostModel,
    limits: Limits = EXACT,
) -> tuple[Choice, ...]:
    """Return one choice per layer: the least time of the whole graph.

    An offer has to be faster than the dense one by a margin, a share of the dense time.  Where both
    were measured the margin is 2 %.  Else it is the median error of the profile: one for all, as
    an algorithm that is hard to predict is not slower for it.  Between equal offers the earlier row
    wins.  Raises PlanError where nothing fits or the solver gives up.
    """
    max_error, max_bytes = limits.max_error, limits.max_bytes
    problem = Problem()
    pairs = pairs_of(layout_graph)
    in_pairs = {name for pair in pairs.values() for name in pair}
    priced = {
        layer.name: priced_offers(
            layer, answers[layer.name], costs, limits, in_pair=layer.name in in_pairs
        )
        for layer in layers
    }
    for found in priced.values():
        problem.pick_one([problem.binary(c.price) for c in found])
    state_layouts(problem, layout_graph, layers, priced, costs)
    for concat, pair in pairs.items():
        saved = costs.pass_over(bytes_moved(layout_graph, concat))
        state_pair(problem, pair, saved, chosen_where(priced, lambda c: c.paired))
    every = [c for found in priced.values() for c in found]
    if max_error > 0:
        problem.at_most(range(len(every)), [(c.output_error / max_error) ** 2 for c in every], 1.0)
    if max_bytes is not None:
        problem.at_most(range(len(every)), [c.bytes / max_bytes for c in every], 1.0)
    chosen = problem.solve()
    picked = {c.layer: c for c, value in zip(every, chosen, strict=False) if value > 0.5}
    return tuple(
        Choice(
            layer=layer.name,
            algorithm=picked[layer.name].offer.algorithm,
            parameters=picked[layer.name].offer.parameters,
            reason=reason(picked[layer.name], answers[layer.name], priced[layer.name], max_bytes),
        )
        for layer in layers
    )
