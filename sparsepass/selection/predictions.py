"""How good predictions are at choosing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sparsepass.plan import Answer, Offer

__all__ = ["Quality", "quality"]


class Quality(NamedTuple):
    """How good predictions are at choosing, over the layers with two or more measured offers.

    ``share`` of the layers whose predicted best is the measured best (1 without such layers);
    ``regret`` is the measured time of the predicted best over that of the measured best, less 1.
    """

    share: float
    regret: float
    layers: int


def quality(answers: Mapping[str, Sequence[Answer]]) -> Quality:
    """Compare what predictions would choose with what measurements would."""
    right, taken, least, count = 0, 0.0, 0.0, 0
    for found in answers.values():
        offers = [b for b in found if isinstance(b, Offer) and b.measured is not None]
        if len(offers) < 2:
            continue
        predicted = min(offers, key=lambda offer: offer.predicted)
        measured = min(offers, key=lambda offer: offer.microseconds)
        count += 1
        right += predicted.microseconds == measured.microseconds
        taken += predicted.microseconds
        least += measured.microseconds
    return Quality(right / count if count else 1.0, taken / least - 1 if least else 0.0, count)
