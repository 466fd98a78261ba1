"""Rows as an aligned Markdown table, for documents and benchmark results."""

from collections.abc import Iterable, Mapping
from typing import cast

from pydantic import BaseModel

__all__ = ["table"]


def table(rows: Iterable[Mapping[str, object] | BaseModel]) -> str:
    """A Markdown table, one line per row, ending in a newline; no rows give "".

    Columns appear in the order in which rows first name them; a row without one leaves its cell
    empty.  Columns of numbers are aligned to the right, floats have four significant digits.
    """
    records = [_record(row) for row in rows]
    if not records:
        return ""
    columns = list(dict.fromkeys(name for record in records for name in record))
    right = [all(_is_number(record.get(name)) for record in records) for name in columns]
    cells = [[_escape(name) for name in columns]]
    cells += [[_text(record.get(name)) for name in columns] for record in records]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(columns))]
    lines = [_line(line, widths, right) for line in cells]
    rule = ("-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines) + "\n"


def _record(row: Mapping[str, object] | BaseModel) -> Mapping[str, object]:
    if isinstance(row, BaseModel):
        return cast(Mapping[str, object], row.model_dump())
    return row


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    )
    return "| " + " | ".join(padded) + " |"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    return _escape(str(value))


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
