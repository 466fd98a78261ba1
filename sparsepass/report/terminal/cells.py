"""Tables, and what their cells hold."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.algorithms import ALGORITHMS
from sparsepass.report import units
from sparsepass.report.schema import LayerAnalysis, LayerReport, LayerTime

__all__ = [
    "add_layer_columns",
    "end_of",
    "layer_cells",
    "new_table",
    "saving_bar",
    "styled",
    "time_text",
    "zeros_text",
]

# By position in the table of algorithms; the first is the reference and stays quiet.
STYLES = (
    "bright_black", "blue", "cyan", "yellow", "green", "magenta", "bright_blue", "bright_cyan",
    "bright_yellow", "bright_magenta",
)  # fmt: skip
WIDE = 96
SHAPE = 26
BAR = 8


def new_table(gap: int = 0) -> Table:
    """A table without lines but below its header; ``gap`` spaces more between its columns."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, gap, 0, 0), header_style="dim")


def add_layer_columns(table: Table, console: Console) -> None:
    """Add the columns that ``layer_cells`` fill."""
    table.add_column("layer", no_wrap=True)
    if console.width >= WIDE:
        table.add_column("shape", no_wrap=True)


def layer_cells(layer: LayerAnalysis, console: Console, taken: int) -> list[Text]:
    """Name, and shape where there is room beside ``taken`` columns of numbers."""
    room = max(12, console.width - taken)
    if console.width < WIDE:
        return [end_of(console, layer.name, room)]
    return [end_of(console, layer.name, room - SHAPE - 1), start_of(console, layer.shape, SHAPE)]


def styled(algorithm: str) -> Text:
    """The name of an algorithm in its colour."""
    names = [row.name for row in ALGORITHMS]
    known = algorithm in names
    style = STYLES[names.index(algorithm) % len(STYLES)] if known else "default"
    return Text(units.printable(algorithm), style=style)


def zeros_text(share: float | None) -> Text:
    """A share of zeros, bright where it is worth something."""
    return Text(units.percent(share), style="" if share and share >= 0.3 else "dim")


def time_text(time: LayerTime) -> str:
    """Microseconds, marked where they were predicted."""
    mark = "~" if time.measured_us is None else ""
    return mark + units.microseconds(time.best_us)


def saving_bar(layer: LayerReport, longest: float, console: Console) -> Text:
    """The time now of the dense one as a bar, ``longest`` microseconds wide, and the speed-up."""
    full, rest = ("#", ".") if console.options.ascii_only else ("\u2588", "\u2591")
    if longest <= 0:
        return Text("")
    dense = max(1, round(BAR * layer.dense.best_us / longest))
    now = min(dense, max(1, round(BAR * layer.now.best_us / longest)))
    bar = styled(layer.chosen.algorithm)
    bar.plain = full * now + rest * (dense - now)
    bar.pad_right(BAR - dense)
    changed = layer.speedup != 1.0
    return bar.append(f" {units.factor(layer.speedup):>5}" if changed else "", style="default")


def end_of(console: Console, text: str, width: int) -> Text:
    """The end of a long name, which is what tells layers apart."""
    text, mark = units.printable(text), mark_of(console)
    return Text(text if len(text) <= width else mark + text[len(mark) - width :])


def start_of(console: Console, text: str, width: int) -> Text:
    text, mark = units.printable(text), mark_of(console)
    return Text(text if len(text) <= width else text[: width - len(mark)] + mark)


def mark_of(console: Console) -> str:
    """What stands for the rest of a text."""
    return "..." if console.options.ascii_only else "\N{HORIZONTAL ELLIPSIS}"
