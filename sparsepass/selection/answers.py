"""What every algorithm answers for a layer: its priced offers, or why it has none."""

import itertools
from collections.abc import Callable, Sequence

from sparsepass.algorithms import ALGORITHMS, Algorithm
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.plan import Answer, Offer, Refusal
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["ask"]


def ask(
    layer: Layer,
    stats: Stats,
    target: Target,
    costs: CostModel,
    refuse: Callable[[Algorithm], str | None] = lambda row: None,
) -> tuple[Answer, ...]:
    """Every algorithm's offers for a layer, or its refusal, in the order of the table.

    ``target`` is where the layer will run; work is counted as the prices of ``costs`` were fitted.
    ``refuse`` may add reasons of the caller's own, such as an opset that is too old.
    """
    found = (answers_of(row, layer, stats, target, costs, refuse) for row in ALGORITHMS)
    return tuple(itertools.chain.from_iterable(found))


def answers_of(
    row: Algorithm,
    layer: Layer,
    stats: Stats,
    target: Target,
    costs: CostModel,
    refuse: Callable[[Algorithm], str | None],
) -> Sequence[Answer]:
    reason = refuse(row) or row.refuse(layer, stats, target)
    if reason is None and not costs.knows(row.priced_as):
        reason = "no prices in the machine profile: run sparsepass calibrate"
    if reason is not None:
        return [Refusal(algorithm=row.name, reason=reason)]
    return [
        Offer(
            algorithm=row.name,
            parameters=dict(option.parameters),
            predicted=costs.price(row, layer, option),
            error=option.error,
        )
        for option in row.known_options(layer, stats, costs.target)
    ]
