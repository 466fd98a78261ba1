"""Geometry of the charts of the HTML report; the template draws it.

Bars are in percent of their row, the other charts in units of their view box.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sparsepass.report import units
from sparsepass.report.schema import Latency, LayerReport, NetworkTime, ParetoPoint, Report

__all__ = [
    "Column", "Columns", "Curve", "CurvePoint", "Point", "Scatter", "Segment", "TimeBar", "columns",
    "curve", "network_bars", "scatters", "stacks",
]  # fmt: skip

COLUMNS_HEIGHT = 200.0
SCATTER_WIDTH, SCATTER_HEIGHT = 420.0, 250.0
SPEEDUP_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class TimeBar:
    """Time of one engine; ``low`` and ``high`` are p10 and p90."""

    label: str
    role: str
    value: str
    detail: str
    width: float
    low: float
    high: float


@dataclass(frozen=True)
class Segment:
    """The part of a stacked bar that belongs to one algorithm."""

    algorithm: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Column:
    """One layer: the dense time behind, the time now in front, both growing from the base line."""

    index: int
    algorithm: str
    x: float
    width: float
    dense: float
    now: float
    title: str


@dataclass(frozen=True)
class Columns:
    """All layers in order; ``ticks`` are (height above the base line, label)."""

    width: float
    height: float
    columns: tuple[Column, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Point:
    """One layer; the area of the dot grows with its dense time."""

    index: int
    algorithm: str
    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True)
class Scatter:
    """Zeros across, speed-up upwards (logarithmic); ticks are (position, label)."""

    label: str
    width: float
    height: float
    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    even: float


@dataclass(frozen=True)
class CurvePoint:
    """One plan of the curve."""

    x: float
    y: float
    chosen: bool
    title: str


@dataclass(frozen=True)
class Curve:
    """Error across, time upwards; ``path`` joins the points that no other beats in both."""

    width: float
    height: float
    points: tuple[CurvePoint, ...]
    path: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def network_bars(network: NetworkTime) -> tuple[TimeBar, ...]:
    """Before and after."""
    before, after = network.before, network.after
    longest = max(before.p90_ms, after.p90_ms)
    return (
        _time_bar("ONNX Runtime", "before", before, longest),
        _time_bar("sparsepass", "after", after, longest),
    )


def stacks(report: Report) -> tuple[tuple[str, str, tuple[Segment, ...]], ...]:
    """(label, total, segments) of the dense times and of the times now, on one scale."""
    full = max(report.dense_us, report.now_us)
    totals = report.totals
    dense = _stack(((total.algorithm, total.dense_us) for total in totals), full)
    now = _stack(((total.algorithm, total.now_us) for total in totals), full)
    return (
        ("before", units.milliseconds(report.dense_us / 1e3), dense),
        ("now", units.milliseconds(report.now_us / 1e3), now),
    )


def columns(layers: tuple[LayerReport, ...]) -> Columns:
    """Dense time and time now of every layer."""
    longest = max((max(layer.dense.best_us, layer.now.best_us) for layer in layers), default=0.0)
    step = nice_step(longest)
    top = step * max(1, math.ceil(longest / step))
    pitch = max(9.0, 1000.0 / max(1, len(layers)))
    scale = COLUMNS_HEIGHT / top
    width = min(0.78 * pitch, 64.0)
    drawn = tuple(
        Column(
            index=index,
            algorithm=layer.chosen.algorithm,
            x=round(index * pitch + (pitch - width) / 2, 2),
            width=round(width, 2),
            dense=round(scale * layer.dense.best_us, 2),
            now=round(scale * layer.now.best_us, 2),
            title=layer_title(layer),
        )
        for index, layer in enumerate(layers)
    )
    ticks = tuple(
        (round(scale * step * i, 2), units.microseconds(step * i) if i else "0")
        for i in range(round(top / step) + 1)
    )
    return Columns(round(pitch * max(1, len(layers)), 2), COLUMNS_HEIGHT, drawn, ticks)


def scatters(layers: tuple[LayerReport, ...]) -> tuple[Scatter, ...]:
    """Speed-up over zeros in the weights and, where samples were given, in the input."""
    found = [_scatter("zeros in the weights", layers, lambda layer: layer.weight_zeros)]
    if any(layer.input is not None for layer in layers):
        found.append(_scatter("zeros in the input", layers, lambda layer: layer.input_zeros))
    return tuple(found)


def curve(points: tuple[ParetoPoint, ...]) -> Curve:
    """Time against error; measured where all points were, else as predicted."""
    times, errors = pareto_times(points), pareto_errors(points)
    x_step, y_step = nice_step(max(errors)), nice_step(max(times))
    right = x_step * max(1, math.ceil(max(errors) / x_step))
    top = y_step * max(1, math.ceil(max(times) / y_step))
    drawn = tuple(
        CurvePoint(
            x=round(SCATTER_WIDTH * error / right, 2),
            y=round(SCATTER_HEIGHT * (1 - time / top), 2),
            chosen=point.chosen,
            title=f"{pareto_budget(point)}: {units.milliseconds(time)}, error {units.error(error)}",
        )
        for point, time, error in zip(points, times, errors, strict=True)
    )
    # A higher y is less time: what is nearer to the left and lower on the page beats a point.
    front = [p for p in drawn if not any(q.x <= p.x and q.y >= p.y and q != p for q in drawn)]
    ordered = sorted(front, key=lambda point: point.x)
    return Curve(
        width=SCATTER_WIDTH,
        height=SCATTER_HEIGHT,
        points=drawn,
        path="M" + "L".join(f"{point.x} {point.y}" for point in ordered),
        x_ticks=tuple(
            (round(SCATTER_WIDTH * x_step * i / right, 2), units.error(round(x_step * i, 6)))
            for i in range(round(right / x_step) + 1)
        ),
        y_ticks=tuple(
            (round(SCATTER_HEIGHT * (1 - y_step * i / top), 2), f"{y_step * i:g} ms")
            for i in range(round(top / y_step) + 1)
        ),
    )


def pareto_times(points: Sequence[ParetoPoint]) -> list[float]:
    measured = [point.measured_ms for point in points]
    known = [ms for ms in measured if ms is not None]
    return known if len(known) == len(measured) else [p.layers_us / 1e3 for p in points]


def pareto_errors(points: Sequence[ParetoPoint]) -> list[float]:
    measured = [point.measured_error for point in points]
    known = [error for error in measured if error is not None]
    return known if len(known) == len(measured) else [point.error for point in points]


def pareto_budget(point: ParetoPoint) -> str:
    return f"budget {units.error(point.budget)}" if point.budget else "lossless"


def layer_title(layer: LayerReport) -> str:
    """What a chart says of a layer when it is pointed at."""
    times = f"{units.microseconds(layer.dense.best_us)} -> {units.microseconds(layer.now.best_us)}"
    gain = units.factor(layer.speedup)
    return f"{layer.name}\n{layer.shape}\n{layer.chosen.algorithm}: {times} us, {gain}"


def nice_step(longest: float) -> float:
    """The step of 1, 2 or 5 times a power of ten that cuts ``longest`` into about four."""
    if longest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(longest / 4))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= longest / 4 * 0.999)


def _time_bar(label: str, role: str, found: Latency, longest: float) -> TimeBar:
    scale = 100 / longest if longest > 0 else 0.0
    return TimeBar(
        label,
        role,
        value=units.milliseconds(found.median_ms),
        detail=f"p10 {units.milliseconds(found.p10_ms)}, p90 {units.milliseconds(found.p90_ms)}, "
        f"{found.runs} runs",
        width=round(scale * found.median_ms, 2),
        low=round(scale * found.p10_ms, 2),
        high=round(scale * found.p90_ms, 2),
    )


def _stack(times: Iterable[tuple[str, float]], full: float) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    x = 0.0
    for algorithm, time in times:
        width = 100 * time / full if full > 0 else 0.0
        title = f"{algorithm}: {units.milliseconds(time / 1e3)}"
        segments.append(Segment(algorithm, round(x, 3), round(width, 3), title))
        x += width
    return tuple(segments)


def _scatter(
    label: str, layers: tuple[LayerReport, ...], zeros: Callable[[LayerReport], float | None]
) -> Scatter:
    low = max(0.1, min(0.5, *(layer.speedup for layer in layers), 0.5) * 0.9)
    high = min(100.0, max(2.0, *(layer.speedup for layer in layers), 2.0) * 1.15)
    longest = max((layer.dense.best_us for layer in layers), default=0.0)

    def y(speedup: float) -> float:
        share = math.log(min(max(speedup, low), high) / low) / math.log(high / low)
        return round(SCATTER_HEIGHT * (1 - share), 2)

    points = tuple(
        Point(
            index=index,
            algorithm=layer.chosen.algorithm,
            x=round(SCATTER_WIDTH * share, 2),
            y=y(layer.speedup),
            radius=round(3 + 6 * math.sqrt(layer.dense.best_us / longest), 2) if longest else 3.0,
            title=layer_title(layer),
        )
        for index, layer in enumerate(layers)
        if (share := zeros(layer)) is not None
    )
    return Scatter(
        label=label,
        width=SCATTER_WIDTH,
        height=SCATTER_HEIGHT,
        points=points,
        x_ticks=tuple((SCATTER_WIDTH * i / 4, f"{25 * i}%") for i in range(5)),
        y_ticks=tuple((y(tick), f"{tick:g}x") for tick in SPEEDUP_TICKS if low <= tick <= high),
        even=y(1.0),
    )
