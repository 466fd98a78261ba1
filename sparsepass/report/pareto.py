"""Time against error as a table: its rows for people, and as CSV and JSON."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sparsepass.errors import UsageError
from sparsepass.files import write_text
from sparsepass.report import units
from sparsepass.report.schema import PairedAnswers, ParetoPoint

__all__ = ["check_pareto", "pareto_rows", "write_pareto"]

CSV, JSON = ".csv", ".json"
COLUMNS: tuple[str, ...] = (
    "budget", "lossy_layers", "layers_us", "error", "measured_error", "measured_ms", "speedup",
    "drop_points", "standard_error_points", "expected_drop_points", "expected_error_points",
    "chosen",
)  # fmt: skip


def pareto_rows(points: Sequence[ParetoPoint]) -> tuple[dict[str, str], ...]:
    """The points as text, columns that no point has left out."""
    rows = [
        {
            "budget": units.error(point.budget) if point.budget else "lossless",
            "lossy layers": str(point.lossy_layers),
            "layers us": units.microseconds(point.layers_us),
            "error": f"~{units.error(point.error)}",
            "measured": units.error(point.measured_error),
            "ms": "-" if point.measured_ms is None else units.milliseconds(point.measured_ms),
            "speed-up": "-" if point.speedup is None else units.factor(point.speedup),
            "drop": drop_of(point),
            "": "chosen" if point.chosen else "",
        }
        for point in points
    ]
    kept = [name for name in (rows[0] if rows else ()) if any(r[name] not in "-" for r in rows)]
    return tuple({name: row[name] for name in kept} for row in rows)


def drop_of(point: ParetoPoint) -> str:
    if point.answers is None:
        return "-"
    drop, standard_error = point.answers.judged
    return f"{drop:.2g} +- {standard_error:.2g}"


def counted(answers: PairedAnswers | None) -> dict[str, Any]:
    """The columns of a drop."""
    if answers is None:
        return {}
    expected = answers.expected
    return answers.model_dump() | {
        "expected_drop_points": expected and expected.points,
        "expected_error_points": expected and expected.standard_error_points,
    }


def check_pareto(path: Path) -> None:
    """Raise UsageError where the suffix of ``path`` names no format of tables."""
    if path.suffix.lower() not in (CSV, JSON):
        raise UsageError(f"{path}: time against error is written as .csv or .json; use one of them")


def write_pareto(points: Sequence[ParetoPoint], path: Path) -> None:
    """Write the points as the suffix of ``path`` says; raises UsageError as ``check_pareto``."""
    check_pareto(path)
    if path.suffix.lower() == JSON:
        content = TypeAdapter(tuple[ParetoPoint, ...]).dump_json(tuple(points), indent=2)
        write_text(path, content.decode() + "\n")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for point in points:
        writer.writerow({**counted(point.answers), **point.model_dump()})
    write_text(path, text.getvalue())
