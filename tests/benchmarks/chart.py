"""Speed-up against sparsity as SVG, one line per network."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 50, 580, 45, 340
LABEL_STEP = 18
# Okabe and Ito, told apart by colour-blind eyes too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")

Points = Sequence[tuple[int, float]]


def speedup_chart(title: str, lines: Mapping[str, Points]) -> str:
    """``lines`` holds sparsities in percent and speed-ups by the name of the network."""
    sparsities = sorted({x for points in lines.values() for x, _ in points})
    highest = math.ceil(max(y for points in lines.values() for _, y in points))
    step = max(1, math.ceil(highest / 8))
    span = max(sparsities[-1] - sparsities[0], 1)

    def across(sparsity: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * (sparsity - sparsities[0]) / span, 1)

    def down(speedup: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * speedup / highest, 1)

    drawn = []
    for color, (name, points) in zip(COLORS, lines.items(), strict=False):
        marks = [(across(x), down(y)) for x, y in sorted(points)]
        drawn.append({"name": name, "color": color, "marks": marks, "label_at": marks[-1][1] + 4})
        drawn[-1]["points"] = [f"{x},{y}" for x, y in marks]
    spread(drawn)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("speedup.svg.j2").render(
        title=title, width=WIDTH, height=HEIGHT, left=LEFT, right=RIGHT, bottom=BOTTOM,
        y_ticks=[{"at": down(y), "text": f"{y}x"} for y in range(0, highest + 1, step)],
        x_ticks=[{"at": across(x), "text": f"{x} %"} for x in sparsities],
        lines=drawn,
    )  # fmt: skip


def spread(drawn: list[dict]) -> None:
    """Move labels down so that none covers another."""
    lowest = -math.inf
    for line in sorted(drawn, key=lambda line: line["label_at"]):
        line["label_at"] = max(line["label_at"], lowest + LABEL_STEP)
        lowest = line["label_at"]
