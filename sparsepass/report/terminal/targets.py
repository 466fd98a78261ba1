"""Plans of one network for several machines."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.targets import Targets
from sparsepass.report.terminal.cells import new_table

__all__ = ["print_targets"]


def print_targets(console: Console, found: Targets, *, quiet: bool = False) -> None:
    """A row for each target, and the verdict; only that if ``quiet``."""
    if not quiet:
        title = f"{found.model}, predicted for {len(found.targets)} machines; nothing was timed"
        console.print(Text(units.printable(title), style="bold"))
        console.print(target_table(found))
        console.print(Text("Losses: of the plan of a row on the machine of a column.", style="dim"))
    console.print(Text(units.printable(found.verdict)), soft_wrap=True)


def target_table(found: Targets) -> Table:
    table = new_table(gap=1)
    for header in ("", "machine"):
        table.add_column(header)
    for header in ("ONNX Runtime", "planned", "speed-up", "layers\nchanged"):
        table.add_column(header, justify="right")
    numbers = range(1, len(found.targets) + 1)
    for number in numbers:
        table.add_column(f"loss\non {number}", justify="right")
    for number, target in zip(numbers, found.targets, strict=True):
        table.add_row(
            str(number),
            Text(units.printable(target.machine)),
            units.milliseconds(target.dense_us / 1e3),
            units.milliseconds(target.network_us / 1e3),
            units.factor(target.dense_us / target.network_us if target.network_us > 0 else 1.0),
            f"{target.changed} of {len(target.plan.choices)}",
            *(loss_text(loss) for loss in target.losses),
        )
    return table


def loss_text(share: float | None) -> str:
    return "refused" if share is None else f"{max(0.0, share):.1%}"
