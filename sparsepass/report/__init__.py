"""What the user reads: the report as a value, in the terminal, as JSON and as HTML."""

from pathlib import Path

from sparsepass.errors import UsageError
from sparsepass.files import write_text
from sparsepass.report.html import render_analysis, render_html
from sparsepass.report.schema import Analysis, Report, json_schema
from sparsepass.report.terminal import print_analysis, print_explanation, print_report

__all__ = [
    "Analysis", "Report", "check_format", "json_schema", "print_analysis", "print_explanation",
    "print_report", "render_html", "write",
]  # fmt: skip

HTML, JSON = (".html", ".htm"), ".json"


def check_format(path: Path) -> None:
    """Raise UsageError where the suffix of ``path`` names no format of reports."""
    suffix = path.suffix.lower()
    if suffix not in (*HTML, JSON):
        found = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise UsageError(f"{path}: {found} names no report format; use .html or .json")


def write(report: Report | Analysis, path: Path) -> None:
    """Write a report or an analysis as the suffix of ``path`` says: ``.html`` or ``.json``.

    Raises UsageError for another suffix and where ``path`` cannot be written.
    """
    check_format(path)
    if path.suffix.lower() == JSON:
        report.save(path)
    elif isinstance(report, Analysis):
        write_text(path, render_analysis(report))
    else:
        write_text(path, render_html(report))
