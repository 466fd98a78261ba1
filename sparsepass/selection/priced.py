"""Offers as the programme sees them, without those that cannot win."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsepass.algorithms import DENSE, algorithm
from sparsepass.cost import CostModel
from sparsepass.errors import PlanError
from sparsepass.layer import Layer
from sparsepass.plan import Answer, Offer
from sparsepass.selection.limits import Limits

__all__ = ["PricedOffer", "priced_offers"]

# The margin of a measurement, which is the noise of a timing, as a share of the dense time.
NOISE = 0.02
# Microseconds that decide between equal offers for the earlier row.
TIE = 1e-4


@dataclass(frozen=True)
class PricedOffer:
    """An offer as the solver sees it.

    ``price`` is what is minimised: the microseconds, with the margin and a tie-break added.
    ``paired`` offers share an op with another layer where that has one too.
    """

    layer: str
    offer: Offer
    price: float
    margin: float
    blocked: bool
    paired: bool
    output_error: float
    bytes: float


def priced_offers(
    layer: Layer,
    answers: Sequence[Answer],
    costs: CostModel,
    limits: Limits,
    *,
    in_pair: bool = False,
) -> list[PricedOffer]:
    """The offers that may win: within the error budget, and not worse than another in every way."""
    offers = [a for a in answers if isinstance(a, Offer)]
    dense = next((o for o in offers if o.algorithm == DENSE.name), None)
    if dense is None:
        raise PlanError(f"{layer.name}: no dense offer; make its answers with selection.ask")
    found: list[PricedOffer] = []
    for position, offer in enumerate(offers):
        error = limits.output_error(layer.name, offer)
        if error > limits.max_error:
            continue
        row = algorithm(offer.algorithm)
        margin = 0.0 if offer is dense else margin_of(offer, dense, costs)
        found.append(
            PricedOffer(
                layer=layer.name,
                offer=offer,
                price=offer.microseconds + margin * dense.microseconds + position * TIE,
                margin=margin,
                blocked=row is not None and not row.op,
                paired=in_pair and row is not None and row.paired,
                output_error=error,
                bytes=limits.weight_bytes(layer, offer),
            )
        )
    return undominated(found)


def margin_of(offer: Offer, dense: Offer, costs: CostModel) -> float:
    """The share of the dense time that ``offer`` has to save; see ``choose``."""
    if offer.measured is not None and dense.measured is not None:
        return NOISE
    return max(NOISE, costs.profile.median_error)


def undominated(found: Sequence[PricedOffer]) -> list[PricedOffer]:
    """Drop what another of the same layout and pairing beats or equals in time, error, memory."""
    kept: list[PricedOffer] = []
    for c in sorted(found, key=lambda c: (c.price, c.output_error, c.bytes)):
        if not any(
            k.blocked == c.blocked
            and k.paired >= c.paired
            and k.output_error <= c.output_error
            and k.bytes <= c.bytes
            for k in kept
        ):
            kept.append(c)
    return sorted(kept, key=found.index)
