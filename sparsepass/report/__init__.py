"""What the user reads: the report as a value, in the terminal, as JSON, HTML and Markdown."""

from collections.abc import Sequence
from pathlib import Path

from sparsepass.errors import UsageError
from sparsepass.files import write_text
from sparsepass.report.html import render_analysis, render_html
from sparsepass.report.pareto import check_pareto, write_pareto
from sparsepass.report.schema import Analysis, Report, json_schema
from sparsepass.report.terminal import (
    print_analysis,
    print_explanation,
    print_pruning,
    print_report,
)
from sparsepass.report.text import render_markdown

__all__ = [
    "ANALYSES", "Analysis", "Report", "check_format", "check_pareto", "json_schema",
    "print_analysis",
    "print_explanation", "print_pruning", "print_report", "render_html", "render_markdown",
    "write", "write_pareto",
]  # fmt: skip

MARKDOWN, JSON = ".md", ".json"
ANALYSES = (".html", ".htm", JSON)
REPORTS = (".html", ".htm", MARKDOWN, JSON)


def check_format(path: Path, formats: Sequence[str] = REPORTS) -> None:
    """Raise UsageError where the suffix of ``path`` names none of ``formats``."""
    suffix = path.suffix.lower()
    if suffix not in formats:
        found = f"the suffix {suffix!r}" if suffix else "no suffix"
        *others, last = (known for known in formats if known != ".htm")
        listed = f"{', '.join(others)} or {last}"
        raise UsageError(f"{path}: {found} names no report format; use {listed}")


def write(report: Report | Analysis, path: Path) -> None:
    """Write a report as the suffix of ``path`` says: ``.html``, ``.md`` or ``.json``.

    An analysis is written as ``.html`` or ``.json``.

    Raises UsageError for another suffix and where ``path`` cannot be written.
    """
    check_format(path, ANALYSES if isinstance(report, Analysis) else REPORTS)
    if path.suffix.lower() == JSON:
        report.save(path)
    elif isinstance(report, Analysis):
        write_text(path, render_analysis(report))
    elif path.suffix.lower() == MARKDOWN:
        write_text(path, render_markdown(report))
    else:
        write_text(path, render_html(report))
