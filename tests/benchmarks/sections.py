"""Pages with a section for each machine: what was measured elsewhere, or before, stays on them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sparsepass.files import write_text
from sparsepass.report.markdown import table

__all__ = ["MEASURED", "lines_of", "merged", "merged_table", "text_of", "under", "write"]

Line = Mapping[str, str]

# The column that says when and with what a line was measured.
MEASURED = "measured"
# What says so of the lines that have no such cell.
NOTE = re.compile(r"^Measured on .*\n", re.MULTILINE)


def text_of(page: Path) -> str:
    """A page as it is, empty where there is none."""
    return page.read_text(encoding="utf-8") if page.exists() else ""


def write(page: Path, text: str) -> None:
    """Write a page, if there is anything to write."""
    if text:
        write_text(page, text)


def under(text: str, level: int) -> dict[str, str]:
    """What stands under each heading of a level, in their order."""
    _, *parts = re.split(rf"^{'#' * level} (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def merged(old: str, level: int, new: Mapping[str, str]) -> str:
    """The sections of ``old``, with those of ``new`` in their places or behind them."""
    sections = under(old, level) | new
    return "\n".join(
        f"{'#' * level} {heading}\n\n{text.strip()}\n" for heading, text in sections.items()
    )


def merged_table(
    old: str,
    new: Iterable[Line],
    keys: Sequence[str],
    order: Callable[[Line], tuple[str | int, ...]] | None = None,
) -> str:
    """The table of ``old``, with ``new`` in the places of lines of the same keys or behind them.

    What ``old`` says of when all were measured stays as long as a line that does not say so.
    """
    found = {tuple(line[key] for key in keys): line for line in (*lines_of(old), *new)}
    lines = sorted(found.values(), key=order) if order else list(found.values())
    note = NOTE.search(old)
    is_noted = note is not None and any(not line.get(MEASURED) for line in lines)
    return (f"{note[0]}\n" if note and is_noted else "") + table(lines)


def lines_of(text: str) -> list[Line]:
    """The lines of the table in a text, by the names of its columns."""
    found = [cells(line) for line in re.findall(r"^\|(.*)\|$", text, re.MULTILINE)]
    if not found:
        return []
    head, _, *lines = found
    return [dict(zip(head, line, strict=True)) for line in lines]


def cells(line: str) -> list[str]:
    """The cells of a line of a table, as ``report.markdown`` writes them."""
    return [
        re.sub(r"\\([\\|])", r"\1", cell.strip()).replace("&lt;", "<")
        for cell in re.split(r"(?<!\\)\|", line)
    ]
