"""Numbers as people read them."""

from collections.abc import Mapping

from sparsepass.text import printable

__all__ = [
    "count", "error", "factor", "microseconds", "milliseconds", "parameters", "percent", "points",
    "printable", "size",
]  # fmt: skip


def milliseconds(value_ms: float) -> str:
    """Three significant digits at least: ``75.2 ms``, ``0.76 ms``, ``1186 ms``."""
    if value_ms >= 100:
        return f"{value_ms:.0f} ms"
    return f"{value_ms:.1f} ms" if value_ms >= 10 else f"{value_ms:.2f} ms"


def microseconds(value_us: float) -> str:
    """Without the unit, for columns: ``1,234``, ``12.3``."""
    return f"{value_us:,.0f}" if value_us >= 100 else f"{value_us:.1f}"


def factor(value: float) -> str:
    """A speed-up: ``5.3x``."""
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 2 else f"{value:.2f}x"


def percent(value: float | None) -> str:
    """A share; a few zeros are not shown as none, nor nearly all as all."""
    if value is None:
        return "-"
    if 0 < value < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= value < 1 else f"{value:.0%}"


def points(value: float) -> str:
    """Percentage points: ``0.75 points``."""
    return f"{value:.2g} points"


def error(value: float | None) -> str:
    """An error: ``0``, ``3e-6``, ``0.012``."""
    return "-" if value is None else f"{value:.2g}".replace("e-0", "e-")


def count(value: float) -> str:
    """Multiply-adds and the like: ``115M``."""
    for scale, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{suffix}"
    return f"{value:.0f}"


def size(value_bytes: float) -> str:
    """Bytes: ``97.8 MB`` (a MB is 10^6 bytes)."""
    for scale, suffix in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value_bytes >= scale:
            return f"{value_bytes / scale:.3g} {suffix}"
    return f"{value_bytes:.0f} B"


def parameters(values: Mapping[str, int]) -> str:
    """An algorithm's settings: ``rank 24, tile 4``, or N of M in two terms: ``2:4 + 1:8``."""
    if "m1" in values:
        numbers = range(1, len(values) // 2 + 1)
        return " + ".join(f"{values[f'n{i}']}:{values[f'm{i}']}" for i in numbers)
    return ", ".join(f"{name} {value}" for name, value in values.items())
