"""Two reports side by side, in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.difference import Difference, LayerChange
from sparsepass.report.terminal.cells import end_of, new_table

__all__ = ["print_difference"]

# The columns that a narrow terminal shows, how wide one that shows all is, and what the columns
# beside the name take in each.
NARROW = ("algorithm", "us", "speed-up", "zero W")
WIDE = 120
NUMBERS, ALL_NUMBERS = 60, 94


def print_difference(console: Console, difference: Difference, *, quiet: bool = False) -> None:
    """The headline, the runs and the layers that changed; only the headline if ``quiet``."""
    console.print(Text(units.printable(difference.headline), style="bold"), soft_wrap=True)
    if quiet:
        return
    runs = new_table(gap=1)
    for header in ("", "before", "after"):
        runs.add_column(header)
    for fact in difference.facts():
        same = fact["before"] == fact["after"]
        runs.add_row(
            *(Text(units.printable(text), style="dim" if same else "") for text in fact.values())
        )
    console.print(runs, "", sep="\n")
    if difference.changed:
        console.print(layer_table(console, difference.changed))


def layer_table(console: Console, layers: tuple[LayerChange, ...]) -> Table:
    table = new_table(gap=1)
    wide = console.width >= WIDE
    table.add_column("layer", no_wrap=True)
    headers = [*layers[0].cells()][1:] if wide else [*NARROW]
    for header in headers:
        right = header in ("us", "speed-up", "zero W", "sure")
        table.add_column(header, justify="right" if right else "left")
    room = max(12, console.width - (ALL_NUMBERS if wide else NUMBERS))
    for layer in layers:
        cells = layer.cells()
        texts = (Text(units.printable(cells[header])) for header in headers)
        table.add_row(end_of(console, layer.name, room), *texts)
    return table
