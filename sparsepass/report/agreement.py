"""Geometry of charts of one time over another, in units of their view box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparsepass.report import units
from sparsepass.report.difference import Difference
from sparsepass.report.schema import LayerReport

__all__ = ["Agreement", "Dot", "agreement", "before_and_after"]

SIZE = 320.0
# The band around equality that the chart shades: times within a quarter of each other.
BAND = 1.25


class Pair(NamedTuple):
    """Two times of a layer, in microseconds."""

    position: int
    algorithm: str
    across: float
    upwards: float
    solid: bool
    title: str


@dataclass(frozen=True)
class Dot:
    """Two times of a layer; ``solid`` ones stand out."""

    index: int
    algorithm: str
    x: float
    y: float
    solid: bool
    title: str


@dataclass(frozen=True)
class Agreement:
    """Two times of each layer, both axes logarithmic; ticks are (position, label).

    ``band`` is a polygon around equality, ``within`` the share of the dots in it.
    """

    size: float
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    band: str
    within: float


def agreement(layers: tuple[LayerReport, ...]) -> Agreement | None:
    """Every offer that was measured over what was predicted, or None where there is none."""
    return drawn(
        [
            Pair(
                index,
                offer.algorithm,
                offer.predicted,
                offer.measured,
                layer.is_chosen(offer),
                f"{layer.name}\n{offer.algorithm}: {units.microseconds(offer.predicted)} us "
                f"predicted, {units.microseconds(offer.measured)} us measured",
            )
            for index, layer in enumerate(layers)
            for offer in layer.offers
            if offer.measured is not None
        ]
    )


def before_and_after(difference: Difference) -> Agreement | None:
    """The layers of two reports, solid where the algorithm changed; None where none is in both."""
    return drawn(
        [
            Pair(
                index,
                layer.after.chosen.algorithm,
                layer.before.now.best_us,
                layer.after.now.best_us,
                "algorithm" in layer.what,
                "\n".join([layer.name, *(layer.cells()[name] for name in ("algorithm", "us"))]),
            )
            for index, layer in enumerate(difference.layers)
            if layer.before is not None and layer.after is not None
        ]
    )


def drawn(given: Sequence[Pair]) -> Agreement | None:
    pairs = [pair for pair in given if pair.across > 0 and pair.upwards > 0]
    if not pairs:
        return None
    times = [time for pair in pairs for time in (pair.across, pair.upwards)]
    low = 10.0 ** math.floor(math.log10(min(times)))
    high = 10.0 ** math.ceil(math.log10(max(times) * 1.0001))

    def at(time: float) -> float:
        return round(SIZE * math.log(time / low) / math.log(high / low), 2)

    powers = range(round(math.log10(low)), round(math.log10(high)) + 1)
    near = sum(1 / BAND <= pair.upwards / pair.across <= BAND for pair in pairs)
    return Agreement(
        size=SIZE,
        dots=tuple(
            Dot(
                pair.position,
                pair.algorithm,
                at(pair.across),
                round(SIZE - at(pair.upwards), 2),
                pair.solid,
                pair.title,
            )
            for pair in pairs
        ),
        ticks=tuple((at(10.0**power), tick(10.0**power)) for power in powers),
        band=band_of(SIZE * math.log(BAND) / math.log(high / low)),
        within=near / len(pairs),
    )


def band_of(offset: float) -> str:
    """The points whose two times lie at most ``offset`` apart."""
    near, far = round(offset, 2), round(SIZE - offset, 2)
    corners = ((0, SIZE), (0, far), (far, 0), (SIZE, 0), (SIZE, near), (near, SIZE))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def tick(microseconds: float) -> str:
    return f"{microseconds / 1e3:g} ms" if microseconds >= 1e3 else f"{microseconds:g} us"
