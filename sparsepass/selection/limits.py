"""What a plan has to keep to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sparsepass.layer import Layer
from sparsepass.plan import Offer
from sparsepass.sensitivity import Response

__all__ = ["EXACT", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What a plan has to keep to.

    ``responses`` say what a layer's error does to the outputs; without one it passes unchanged.
    The squares of these errors add up to at most ``max_error`` squared.  ``max_bytes`` limits the
    sum of ``weight_bytes``.
    """

    max_error: float = 0.0
    responses: Mapping[str, Response] = field(default_factory=dict[str, Response])
    max_bytes: float | None = None
    weight_bytes: Callable[[Layer, Offer], float] = lambda layer, offer: 0.0

    def output_error(self, layer: str, offer: Offer) -> float:
        """What an offer is expected to do to the outputs."""
        response = self.responses.get(layer)
        return response.output_error(offer.error) if response else offer.error


EXACT = Limits()
