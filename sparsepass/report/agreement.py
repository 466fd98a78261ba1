"""Geometry of the chart of measured over predicted time, in units of its view box."""

import math
from dataclasses import dataclass

from sparsepass.report import units
from sparsepass.report.schema import LayerReport

__all__ = ["Agreement", "Dot", "agreement"]

SIZE = 320.0
# The band around equality that the chart shades: predictions within a quarter.
BAND = 1.25


@dataclass(frozen=True)
class Dot:
    """One measured offer of a layer; ``chosen`` ones stand out."""

    index: int
    algorithm: str
    x: float
    y: float
    chosen: bool
    title: str


@dataclass(frozen=True)
class Agreement:
    """Predicted across, measured upwards, both logarithmic; ticks are (position, label).

    ``band`` is a polygon around equality, ``within`` the share of the dots in it.
    """

    size: float
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    band: str
    within: float


def agreement(layers: tuple[LayerReport, ...]) -> Agreement | None:
    """Every offer that was measured, or None where there is none."""
    pairs = [
        (index, layer, offer, offer.measured)
        for index, layer in enumerate(layers)
        for offer in layer.offers
        if offer.measured is not None and offer.measured > 0 and offer.predicted > 0
    ]
    if not pairs:
        return None
    times = [t for _, _, offer, measured in pairs for t in (offer.predicted, measured)]
    low = 10.0 ** math.floor(math.log10(min(times)))
    high = 10.0 ** math.ceil(math.log10(max(times) * 1.0001))

    def at(time: float) -> float:
        return round(SIZE * math.log(time / low) / math.log(high / low), 2)

    dots = tuple(
        Dot(
            index=index,
            algorithm=offer.algorithm,
            x=at(offer.predicted),
            y=round(SIZE - at(measured), 2),
            chosen=layer.is_chosen(offer),
            title=f"{layer.name}\n{offer.algorithm}: {units.microseconds(offer.predicted)} us "
            f"predicted, {units.microseconds(measured)} us measured",
        )
        for index, layer, offer, measured in pairs
    )
    near = sum(1 / BAND <= m / offer.predicted <= BAND for _, _, offer, m in pairs)
    powers = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return Agreement(
        size=SIZE,
        dots=dots,
        ticks=tuple((at(10.0**power), tick(10.0**power)) for power in powers),
        band=band_of(SIZE * math.log(BAND) / math.log(high / low)),
        within=near / len(pairs),
    )


def band_of(offset: float) -> str:
    """The points whose measured and predicted times lie at most ``offset`` apart."""
    near, far = round(offset, 2), round(SIZE - offset, 2)
    corners = ((0, SIZE), (0, far), (far, 0), (SIZE, 0), (SIZE, near), (near, SIZE))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def tick(microseconds: float) -> str:
    return f"{microseconds / 1e3:g} ms" if microseconds >= 1e3 else f"{microseconds:g} us"
