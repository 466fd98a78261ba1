"""What stands below a table: nodes that are no layers, and warnings."""

from rich.console import Console
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.schema import Analysis, PruneReport, Report

__all__ = ["print_skipped", "print_warnings"]


def print_skipped(console: Console, document: Report | Analysis | PruneReport) -> None:
    """Print why nodes that look like layers are none."""
    for node in document.skipped:
        text = f"skipped {node.op_type} {node.name}: {node.reason}"
        console.print(Text(units.printable(text), style="dim"))


def print_warnings(console: Console, warnings: tuple[str, ...]) -> None:
    """Print each warning as one line."""
    for warning in warnings:
        line = Text("warning: ", style="bold yellow").append(
            units.printable(warning), style="default"
        )
        # One line whatever the width, as for errors: programs that read the output count lines.
        console.print(line, soft_wrap=True)
