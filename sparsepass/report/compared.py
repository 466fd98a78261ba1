"""Two reports side by side, in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.difference import Difference, LayerChange

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
    runs = _table()
    for header in ("", "before", "after"):
        runs.add_column(header)
    for fact in difference.facts():
        same = fact["before"] == fact["after"]
        runs.add_row(
            *(Text(units.printable(text), style="dim" if same else "") for text in fact.values())
        )
    console.print(runs, "", sep="\n")
    if difference.changed:
        console.print(_layers(console, difference.changed))


def _layers(console: Console, layers: tuple[LayerChange, ...]) -> Table:
    table = _table()
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
        table.add_row(_end(console, layer.name, room), *texts)
    return table


def _end(console: Console, name: str, room: int) -> Text:
    """The end of a long name is what tells layers apart."""
    mark = "..." if console.options.ascii_only else "\N{HORIZONTAL ELLIPSIS}"
    name = units.printable(name)
    return Text(name if len(name) <= room else mark + name[len(mark) - room :])


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
