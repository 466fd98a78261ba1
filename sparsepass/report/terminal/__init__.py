"""The report in the terminal.  Times that were predicted, not measured, carry a ``~``."""

from sparsepass.report.terminal.analysis import print_analysis
from sparsepass.report.terminal.difference import print_difference
from sparsepass.report.terminal.layer import print_explanation
from sparsepass.report.terminal.pruning import print_pruning
from sparsepass.report.terminal.report import print_report
from sparsepass.report.terminal.targets import print_targets

__all__ = [
    "print_analysis", "print_difference", "print_explanation", "print_pruning", "print_report",
    "print_targets",
]  # fmt: skip
