"""All that a plan is chosen from: bids of every algorithm for every layer, priced or measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsepass.algorithms import held_bytes
from sparsepass.cost import CostModel
from sparsepass.graph import layout_graph
from sparsepass.pipeline.measure import measure
from sparsepass.pipeline.stages import Progress, Studied, step
from sparsepass.plan import Bid, Choice, Offer
from sparsepass.runtime.lowering import refuse_opset
from sparsepass.select import bid, choose
from sparsepass.sensitivity import Response, responses

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Market", "open_market"]

# Runs of the whole network per probe: the dearest part of a lossy plan.
RESPONSE_SAMPLES = 3


@dataclass(frozen=True)
class Market:
    """Bids, the answers of the outputs to lossy ones, the layouts between layers, and prices.

    ``max_memory`` is how many bytes the weights of all layers may take in memory.
    """

    bids: Mapping[str, tuple[Bid, ...]]
    responses: Mapping[str, Response]
    layouts: "nx.DiGraph[str]"
    costs: CostModel
    max_memory: int | None = None

    def choose(self, studied: Studied, max_error: float) -> tuple[Choice, ...]:
        """The plan of least time for an error budget; it names every layer."""
        if not studied.layers:
            return ()
        return choose(
            studied.layers, self.bids, self.layouts, self.costs,
            max_error=max_error, responses=self.responses, max_bytes=self.max_memory,
            weight_bytes=lambda layer, offer: held_bytes(
                layer, studied.stats[layer.name], offer.algorithm, offer.parameters
            ),
        )  # fmt: skip

    def output_error(self, choice: Choice) -> float:
        """What a choice was expected to do to the outputs."""
        offers = [bid for bid in self.bids[choice.layer] if isinstance(bid, Offer)]
        wanted = (choice.algorithm, choice.parameters)
        error = next(o.error for o in offers if (o.algorithm, o.parameters) == wanted)
        response = self.responses.get(choice.layer)
        return response.output_error(error) if response else error


def open_market(
    studied: Studied,
    costs: CostModel,
    shapes: Mapping[str, Sequence[int]] | None,
    *,
    threads: int,
    max_error: float,
    max_memory: int | None,
    measured: bool,
    progress: Progress,
) -> Market:
    """Ask every algorithm about every layer, and time those that could win if ``measured``."""
    opset = studied.original.opset_imports[""]
    bids = {
        layer.name: bid(
            layer, studied.stats[layer.name], costs, refuse=lambda row: refuse_opset(row, opset)
        )
        for layer in studied.layers
    }
    layouts = layout_graph(studied.prepared, shapes, block=costs.block)
    if measured and bids:
        bids = measure(
            studied.prepared, studied.layers, studied.stats, bids, studied.held_out[0],
            layouts,             threads=threads, progress=step(progress, "measuring layers"),
        )  # fmt: skip
    answers = output_responses(studied, bids, threads, progress) if max_error > 0 else {}
    return Market(bids, answers, layouts, costs, max_memory)


def output_responses(
    studied: Studied, bids: Mapping[str, tuple[Bid, ...]], threads: int, progress: Progress
) -> dict[str, Response]:
    """How the outputs answer to errors of the layers where a lossy offer could win."""
    hopeful = [layer for layer in studied.layers if lossy_could_win(bids[layer.name])]
    if not hopeful:
        return {}
    return responses(
        studied.prepared, hopeful, studied.stats, studied.held_out.take(RESPONSE_SAMPLES),
        progress=step(progress, "measuring sensitivity"), threads=threads,
    )  # fmt: skip


def lossy_could_win(bids: Sequence[Bid]) -> bool:
    offers = [bid for bid in bids if isinstance(bid, Offer)]
    exact = min(offer.microseconds for offer in offers if offer.error == 0)
    return any(offer.error > 0 and offer.microseconds < exact for offer in offers)
