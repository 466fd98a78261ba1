"""Geometry of the chart of speed-up over zeros, in units of its view box."""

import math
from dataclasses import dataclass

from sparsepass.advice import Advice, Curve
from sparsepass.report import units
from sparsepass.report.charts import nice_step

__all__ = ["Line", "Lines", "Mark", "speedup_lines"]

WIDTH, HEIGHT = 400.0, 240.0
LABEL_STEP = 15.0


@dataclass(frozen=True)
class Mark:
    """A point of a curve, and what it says when it is pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Line:
    """One batch; ``label_y`` keeps clear of the labels above."""

    label: str
    points: str
    marks: tuple[Mark, ...]
    label_y: float


@dataclass(frozen=True)
class Lines:
    """Zeros across, speed-up upwards; ticks are (position, label)."""

    width: float
    height: float
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    even: float


def speedup_lines(advice: Advice) -> Lines:
    """Speed-up over plain ONNX Runtime for the same share of zeros everywhere."""
    highest = max((p.speedup for curve in advice.curves for p in curve.points), default=1.0)
    step = nice_step(highest)
    top = step * max(1, math.ceil(highest / step))

    def y(speedup: float) -> float:
        return round(HEIGHT * (1 - speedup / top), 2)

    lines: list[Line] = []
    lowest = -math.inf
    for curve in sorted(advice.curves, key=lambda c: -c.points[-1].speedup):
        marks = tuple(
            Mark(round(WIDTH * p.zeros, 2), y(p.speedup), mark_title(curve, p.zeros, p.network_us))
            for p in curve.points
        )
        lowest = max(marks[-1].y + 4, lowest + LABEL_STEP)
        points = " ".join(f"{mark.x},{mark.y}" for mark in marks)
        lines.append(Line(f"batch {curve.batch}", points, marks, lowest))
    return Lines(
        width=WIDTH,
        height=HEIGHT,
        lines=tuple(lines),
        x_ticks=tuple((WIDTH * i / 5, f"{20 * i}%") for i in range(6)),
        y_ticks=tuple((y(step * i), f"{step * i:g}x") for i in range(round(top / step) + 1)),
        even=y(1.0),
    )


def mark_title(curve: Curve, zeros: float, network_us: float) -> str:
    times = " -> ".join(units.milliseconds(us / 1e3) for us in (curve.dense_us, network_us))
    return f"batch {curve.batch}, {zeros:.0%} zeros: {times}"
