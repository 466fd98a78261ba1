"""Measured times for the offers that could win, taken inside the network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from sparsepass.algorithms import ALGORITHMS, DENSE, Lowering
from sparsepass.layer import Layer
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.plan import Bid, Choice, Offer
from sparsepass.runtime.node_times import layer_times, names_of_layers
from sparsepass.sparsity import Stats

__all__ = ["measure"]

Bids = Mapping[str, tuple[Bid, ...]]
Progress = Callable[[int, int], None]

# An offer is measured where its prediction, which may be off by this factor, could still win.
DOUBT = 2.0


def measure(
    prepared: ir.Model,
    layers: Sequence[Layer],
    stats: Mapping[str, Stats],
    bids: Bids,
    feed: Mapping[str, Any],
    *,
    threads: int,
    progress: Progress = lambda done, total: None,
) -> dict[str, tuple[Bid, ...]]:
    """Return ``bids`` with ``measured`` filled in for the dense offers and those that could win.

    Each algorithm that lowers to a custom op is given every layer at once where it could win: two or three
    sessions measure a whole network.
    """
    names = names_of_layers(prepared, tuple(layers))
    dense = layer_times(prepared, names, feed, threads=threads, custom_ops=False)
    times: dict[tuple[str, str], float] = {(name, DENSE.name): us for name, us in dense.items()}
    rows = [row for row in ALGORITHMS if row.lowering is Lowering.CUSTOM_OP]
    progress(1, 1 + len(rows))
    for done, row in enumerate(rows, start=2):
        chosen = [
            Choice(layer=name, algorithm=row.name, parameters=offer.parameters)
            for name, layer_bids in bids.items()
            for offer in layer_bids
            if isinstance(offer, Offer)
            and offer.algorithm == row.name
            and offer.predicted < DOUBT * dense_time(layer_bids)
        ]
        if chosen:
            model = rewrite(prepared, layers, stats, chosen)
            found = layer_times(model, names, feed, threads=threads, custom_ops=True)
            times |= {(c.layer, row.name): found[c.layer] for c in chosen if c.layer in found}
        progress(done, 1 + len(rows))
    return {
        name: tuple(with_time(bid, times.get((name, bid.algorithm))) for bid in layer_bids)
        for name, layer_bids in bids.items()
    }


def dense_time(bids: tuple[Bid, ...]) -> float:
    return next(b.predicted for b in bids if isinstance(b, Offer) and b.algorithm == DENSE.name)


def with_time(bid: Bid, microseconds: float | None) -> Bid:
    if not isinstance(bid, Offer) or microseconds is None:
        return bid
    return bid.model_copy(update={"measured": microseconds})
