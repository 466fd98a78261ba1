"""A network as it would be with other zeros in its weights, priced and planned, never run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sparsepass.algorithms import DENSE, Algorithm
from sparsepass.cost import CostModel
from sparsepass.layer import Array, Layer
from sparsepass.plan import Answer, Choice, Offer, is_custom, offered
from sparsepass.pruning import Mask, density
from sparsepass.selection import EXACT, LayoutCosts, Sides, ask, choose, priced_offers
from sparsepass.sparsity import Stats
from sparsepass.target import Target

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Answers", "Network", "Pick", "Planned", "offers_of"]

Answers = Mapping[str, Sequence[Answer]]


class Pick(NamedTuple):
    """The best offer of a layer in its place, with the layout changes that it brings about."""

    offer: Offer
    microseconds: float


@dataclass(frozen=True)
class Planned:
    """The plan of least time of a whole network: the offer of each layer, and the time of it all.

    ``microseconds`` are of the layers, of layout changes, and of the other operators as passes over
    their data.
    """

    offers: Mapping[str, Offer]
    sides: Sides
    microseconds: float


@dataclass(frozen=True)
class Network:
    """The layers of a network, what is known of them, and what they are priced by.

    ``layouts`` is what ``graph.layout_graph`` makes of it.  ``target`` is where it will run.
    ``refuse`` may add reasons against an algorithm, as in ``selection.ask``.
    """

    layers: tuple[Layer, ...]
    stats: Mapping[str, Stats]
    layouts: "nx.DiGraph[str]"
    target: Target
    costs: CostModel
    refuse: Callable[[Algorithm], str | None] = lambda row: None

    @cached_property
    def layout_costs(self) -> LayoutCosts:
        """What layouts cost between the layers."""
        return LayoutCosts(self.layouts, self.layers, self.costs)

    def at_batch(self, batch: float) -> "Network":
        """The same network on ``batch`` times the images."""
        layers = tuple(replace(x, batch=max(1, round(batch * x.batch))) for x in self.layers)
        layouts = self.layouts.copy()
        for _, _, data in cast(Any, layouts.edges(data=True)):
            data["bytes"] = batch * data["bytes"]
        return replace(self, layers=layers, layouts=layouts)

    def answers(
        self, layer: Layer, mask: Mask | None = None, *, with_input: bool = True
    ) -> tuple[Answer, ...]:
        """What exact algorithms answer for a layer, with the zeros of ``mask`` in its weight.

        Zeros of the input count ``with_input``.
        """
        stats = self.stats[layer.name]
        weight = stats.weight
        if mask is not None:
            # Work depends on where the zeros are, not on the other values.
            layer = replace(layer, weight=cast(Array, mask))
            weight = replace(weight, density=density(mask))
        known = Stats(weight, stats.input if with_input else None)
        return ask(layer, known, self.target, self.costs, self.refuse)

    def plan(self, answers: Answers) -> Planned:
        """The plan of the integer programme."""
        choices = choose(self.layers, answers, self.layouts, self.costs, EXACT)
        return self.priced(offers_of(choices, answers))

    def dense(self, answers: Answers) -> Planned:
        """Plain ONNX Runtime."""
        choices = [Choice(layer=layer.name, algorithm=DENSE.name) for layer in self.layers]
        return self.priced(offers_of(choices, answers))

    def priced(self, offers: Mapping[str, Offer]) -> Planned:
        """A plan that is given: one offer for each layer."""
        sides = self.layout_costs.sides([name for name, o in offers.items() if is_custom(o)])
        layers = sum(offer.microseconds for offer in offers.values())
        around = self.layout_costs.total(sides) + self.layout_costs.rest()
        return Planned(offers, sides, layers + around)

    def pick(self, layer: Layer, answers: Sequence[Answer], plan: Planned) -> Pick:
        """The best offer for one layer of ``plan``, where all others keep theirs."""
        priced = priced_offers(layer, answers, self.costs, EXACT)
        flip = self.layout_costs.flip(layer.name, plan.sides)
        lowered = layer.name in plan.sides.lowered

        def around(offer: Offer) -> float:
            return flip if is_custom(offer) != lowered else 0.0

        best = min(priced, key=lambda c: c.price + around(c.offer))
        return Pick(best.offer, best.offer.microseconds + around(best.offer))


def offers_of(choices: Iterable[Choice], answers: Answers) -> dict[str, Offer]:
    """The offer behind each choice that has one."""
    found = {choice.layer: offered(choice, answers[choice.layer]) for choice in choices}
    return {name: offer for name, offer in found.items() if offer is not None}
