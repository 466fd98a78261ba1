"""Times of offers, turn by turn: which statistic decides, and how sure the decision is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparsepass.plan import Choice, Offer
from sparsepass.runtime.timing import low

__all__ = ["Key", "Turns", "key_of"]

Parameters = tuple[tuple[str, int], ...]
Key = tuple[str, str, Parameters]
"""A layer, an algorithm and its parameters."""


def key_of(layer: str, offer: Offer | Choice) -> Key:
    """What an offer for a layer, or the choice of it, is known by."""
    return layer, offer.algorithm, tuple(sorted(offer.parameters.items()))


@dataclass(frozen=True)
class Turns:
    """Microseconds of each offer that was measured, one a turn."""

    times: Mapping[Key, Sequence[float]]

    def microseconds(self, key: Key) -> float | None:
        """The time of an offer, or None where it was not measured."""
        return low(self.times[key]) if key in self.times else None

    def certainty(self, chosen: Choice) -> float | None:
        """Share of turns in which ``chosen`` takes less time than the best other one measured.

        Every turn of one is compared with every turn of the other, equal ones count half.  None
        where there are not two to compare.
        """
        own = key_of(chosen.layer, chosen)
        rivals = [key for key in self.times if key[0] == chosen.layer and key != own]
        if own not in self.times or not rivals:
            return None
        rival = min(rivals, key=lambda key: low(self.times[key]))
        gaps = np.subtract.outer(self.times[rival], self.times[own])
        return float(np.mean((np.sign(gaps) + 1) / 2))
