"""Why an offer won, in one short sentence."""

from collections.abc import Sequence

from sparsepass.algorithms import DENSE
from sparsepass.plan import Answer, Offer
from sparsepass.selection.priced import PricedOffer

__all__ = ["reason"]


def reason(
    chosen: PricedOffer,
    answers: Sequence[Answer],
    priced: Sequence[PricedOffer],
    max_bytes: float | None,
) -> str:
    """Why an offer won, in one short sentence."""
    offers = [a for a in answers if isinstance(a, Offer)]
    dense = next(o for o in offers if o.algorithm == DENSE.name)
    if len(offers) == 1:
        return "the only offer"
    best = min(offers, key=lambda offer: offer.microseconds)
    if chosen.offer is best:
        rest = [o for o in offers if o is not best]
        against = min(rest, key=lambda o: o.microseconds) if best is dense else dense
        return (
            f"fastest of {len(offers)} offers: {milliseconds(best)} against "
            f"{milliseconds(against)} {against.algorithm}"
        )
    gain = f"{milliseconds(best)} against {milliseconds(chosen.offer)}"
    allowed = next((c for c in priced if c.offer is best), None)
    if allowed is None and best.error > 0:
        return f"kept: {best.algorithm} would exceed the error budget ({gain})"
    if allowed is not None and chosen.offer is dense and allowed.price >= chosen.price:
        return f"kept: {best.algorithm} gains less than the margin, {allowed.margin:.0%} ({gain})"
    if best.error > chosen.offer.error:
        return f"the error budget is better spent elsewhere than on {best.algorithm} ({gain})"
    cheapest = min(priced, key=lambda c: c.price)
    if max_bytes is not None and cheapest.bytes > chosen.bytes:
        name = cheapest.offer.algorithm
        gain = f"{milliseconds(cheapest.offer)} against {milliseconds(chosen.offer)}"
        kept = "kept: " if chosen.offer is dense else ""
        return f"{kept}the memory limit is better spent elsewhere than on {name} ({gain})"
    if chosen.paired and best.algorithm != chosen.offer.algorithm:
        return f"shares an operator with the layer beside it, unlike {best.algorithm} ({gain})"
    if chosen.offer is dense:
        return (
            f"kept: the layout changes of {best.algorithm} would cost more than it gains ({gain})"
        )
    return f"saves layout changes that {best.algorithm} needs ({gain})"


def milliseconds(offer: Offer) -> str:
    return f"{offer.microseconds / 1000:.2f} ms"
