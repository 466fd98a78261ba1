"""Where a network is sparse."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.schema import Analysis
from sparsepass.report.terminal.advice import print_advice
from sparsepass.report.terminal.cells import add_layer_columns, layer_cells, new_table, zeros_text
from sparsepass.report.terminal.notes import print_skipped, print_warnings

__all__ = ["print_analysis"]

ANALYSIS_COLUMNS = (
    "MACs",
    "zero\nW",
    "zero\nin",
    "empty\nfilters",
    "row\nbalance",
    "dead\nchannels",
)


def print_analysis(console: Console, analysis: Analysis, *, quiet: bool = False) -> None:
    """Where a network is sparse, layer by layer; only headline and warnings if ``quiet``."""
    macs = sum(layer.macs for layer in analysis.layers)
    title = Text(units.printable(analysis.model.name), style="bold")
    title.append(
        f"  {len(analysis.layers)} layers, {units.count(macs)} multiply-adds", style="not bold"
    )
    console.print(title)
    if not quiet:
        console.print(analysis_table(console, analysis))
        if analysis.advice is not None:
            print_advice(console, analysis.advice)
        print_skipped(console, analysis)
    print_warnings(console, analysis.warnings)


def analysis_table(console: Console, analysis: Analysis) -> Table:
    table = new_table()
    add_layer_columns(table, console)
    for header in ANALYSIS_COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for layer in analysis.layers:
        dead = None if layer.input is None else layer.input.dead_channels
        table.add_row(
            *layer_cells(layer, console, taken=40),
            units.count(layer.macs),
            zeros_text(layer.weight_zeros),
            zeros_text(layer.input_zeros),
            str(layer.weight.empty_filters),
            f"{layer.weight.row_balance:.2f}",
            units.percent(dead),
        )
    return table
