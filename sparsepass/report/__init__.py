"""What the user reads: the report as a value, in the terminal, as JSON, HTML and Markdown."""

from pathlib import Path

from sparsepass.errors import UsageError
from sparsepass.files import write_text
from sparsepass.report.html import render_html
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
    "Analysis", "Report", "check_format", "check_pareto", "json_schema", "print_analysis",
    "print_explanation", "print_pruning", "print_report", "render_html", "render_markdown",
    "write", "write_pareto",
]  # fmt: skip

HTML, MARKDOWN, JSON = (".html", ".htm"), ".md", ".json"


def check_format(path: Path) -> None:
    """Raise UsageError where the suffix of ``path`` names no format of reports."""
    suffix = path.suffix.lower()
    if suffix not in (*HTML, MARKDOWN, JSON):
        found = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise UsageError(f"{path}: {found} names no report format; use .html, .md or .json")


def write(report: Report, path: Path) -> None:
    """Write the report as the suffix of ``path`` says: ``.html``, ``.md`` or ``.json``.

    Raises UsageError for another suffix and where ``path`` cannot be written.
    """
    check_format(path)
    if path.suffix.lower() == JSON:
        report.save(path)
    elif path.suffix.lower() == MARKDOWN:
        write_text(path, render_markdown(report))
    else:
        write_text(path, render_html(report))
