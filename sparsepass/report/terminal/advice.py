"""The advice in the terminal: what pruning would be worth, and where to begin."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.advice import Advice, Curve, LayerAdvice
from sparsepass.report import units
from sparsepass.report.facts import advice_notes
from sparsepass.report.terminal.cells import end_of, new_table

__all__ = ["print_advice"]

# Shares of zeros that the curve is printed at: a line of a terminal holds no more.
SHOWN = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
NUMBERS = 62


def print_advice(console: Console, advice: Advice) -> None:
    """The layers, the ten to begin with, the whole network, and what the numbers mean."""
    console.print(Text("\nWhat pruning would be worth, microseconds", style="bold"))
    console.print(layers_table(console, advice.layers))
    console.print(Text("\nPrune first, one after the other", style="bold"))
    console.print(first_table(console, advice) if advice.first else Text("no layer saves time"))
    console.print(Text("\nSpeed-up over ONNX Runtime, the same zeros everywhere", style="bold"))
    console.print(curves_table(advice.curves))
    for note in advice_notes(advice):
        console.print(Text(units.printable(note), style="dim"))


def layers_table(console: Console, layers: Sequence[LayerAdvice]) -> Table:
    table = new_table(gap=1)
    table.add_column("layer", no_wrap=True)
    for header in ("now\nus", "wins\nfrom", "enough\nat"):
        table.add_column(header, justify="right", no_wrap=True)
    for name in layers[0].savings_us if layers else ():
        words = name.split(" at ")
        table.add_column("\n".join(["", *words][-2:]), justify="right", no_wrap=True)
    table.add_column("zeros\nworth", no_wrap=True)
    for layer in layers:
        table.add_row(
            end_of(console, layer.layer, room(console)),
            units.microseconds(layer.now_us),
            units.percent(layer.pays_from),
            units.percent(layer.enough_at),
            *(saved(us) for us in layer.savings_us.values()),
            Text(layer.worth_more.replace("neither", "-"), style="dim"),
        )
    return table


def first_table(console: Console, advice: Advice) -> Table:
    table = new_table(gap=1)
    table.add_column("layer", no_wrap=True)
    for header in ("zeros", " saves us", " network then", " speed-up"):
        table.add_column(header, justify="right")
    for found in advice.first:
        table.add_row(
            end_of(console, found.layer, room(console)),
            units.percent(found.zeros),
            units.microseconds(found.saves_us),
            units.milliseconds(found.network_us / 1e3),
            units.factor(advice.dense_us / found.network_us if found.network_us > 0 else 1.0),
        )
    return table


def curves_table(curves: Sequence[Curve]) -> Table:
    table = new_table(gap=1)
    table.add_column("zeros")
    for share in SHOWN:
        table.add_column(units.percent(share), justify="right")
    for curve in curves:
        shown = (point for point in curve.points if point.zeros in SHOWN)
        table.add_row(f"batch {curve.batch}", *(units.factor(point.speedup) for point in shown))
    return table


def room(console: Console) -> int:
    """What the numbers leave for a name."""
    return max(12, console.width - NUMBERS)


def saved(microseconds: float) -> Text:
    if microseconds <= 0:
        return Text("-", style="dim")
    return Text(units.microseconds(microseconds))
