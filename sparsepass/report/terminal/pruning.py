"""What pruning made zero."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.facts import answers_fact
from sparsepass.report.schema import PruneReport
from sparsepass.report.terminal.cells import end_of, new_table, zeros_text
from sparsepass.report.terminal.notes import print_skipped, print_warnings
from sparsepass.run import FREE

__all__ = ["print_pruning"]


def print_pruning(console: Console, report: PruneReport, *, quiet: bool = False) -> None:
    """What became zero, layer by layer; only headline and warnings if ``quiet``."""
    found = report.verification
    line = Text(f"{report.sparsity:.1%} of the weights are zero", style="bold")
    if report.pattern != FREE:
        line.append(f" ({report.pattern})", style="not bold")
    line.append(f", error {units.error(found.max_relative_error)}", style="not bold")
    line.append(f", predicted speed-up {units.factor(report.predicted_speedup)}", style="not bold")
    console.print(line)
    if found.answers is not None:
        console.print(Text(answers_fact(found.answers)), soft_wrap=True)
    if not quiet:
        console.print(pruning_table(console, report))
        print_skipped(console, report)
    print_warnings(console, report.warnings)


def pruning_table(console: Console, report: PruneReport) -> Table:
    table = new_table()
    table.add_column("layer", no_wrap=True)
    for header in ("zero\nbefore", "zero\nnow", "error of\nlayer", "error of\noutputs"):
        table.add_column(header, justify="right", no_wrap=True)
    for header in ("dense\nus", "now\nus"):
        table.add_column(header, justify="right", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            end_of(console, layer.name, max(12, console.width - 60)),
            zeros_text(layer.zeros_before),
            zeros_text(layer.zeros),
            units.error(layer.layer_error),
            units.error(layer.output_error),
            f"~{units.microseconds(layer.dense_us)}",
            f"~{units.microseconds(layer.now_us)}",
        )
    return table
