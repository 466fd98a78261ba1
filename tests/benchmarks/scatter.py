"""Predicted against measured times as SVG, both on logarithmic scales, one colour per algorithm."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["scatter_chart"]

WIDTH, HEIGHT = 640, 560
LEFT, RIGHT, TOP, BOTTOM = 70, 500, 40, 500
LABEL_STEP = 20
# Okabe and Ito, told apart by colour-blind eyes too; grey for what comes after them.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800", "#000000")
REST = "#999999"

Pairs = Sequence[tuple[float, float]]


def scatter_chart(title: str, groups: Mapping[str, Pairs]) -> str:
    """``groups`` holds predicted and measured microseconds, above 0, by the name of a group."""
    decades = [math.log10(value) for pairs in groups.values() for pair in pairs for value in pair]
    low, high = math.floor(min(decades)), math.ceil(max(decades))

    def share(value: float) -> float:
        return (math.log10(value) - low) / max(high - low, 1)

    def across(value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * share(value), 1)

    def down(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * share(value), 1)

    colors = dict(zip(groups, COLORS, strict=False))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("scatter.svg.j2").render(
        title=title, width=WIDTH, height=HEIGHT, left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM,
        ticks=[
            {"across": across(10.0**i), "down": down(10.0**i), "text": duration(10.0**i)}
            for i in range(low, high + 1)
        ],
        groups=[
            {
                "name": name,
                "color": colors.get(name, REST),
                "marks": [(across(measured), down(predicted)) for predicted, measured in pairs],
                "label_at": TOP + 20 + LABEL_STEP * number,
            }
            for number, (name, pairs) in enumerate(groups.items())
        ],
    )  # fmt: skip


def duration(microseconds: float) -> str:
    """A power of ten of microseconds, for an axis."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.0f} {unit}"
    return f"{microseconds:g} us"
