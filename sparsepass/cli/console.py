"""Where text goes, and the progress bars of long work."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from sparsepass.report.units import printable
from sparsepass.run import Progress as Report
from sparsepass.run import silent

__all__ = ["errors", "output", "print_error", "print_path", "progress_bars"]

output = Console()
errors = Console(stderr=True)


def print_error(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    text = printable(" ".join(message.split()))
    errors.print(Text(f"error: {text}", style="red"), soft_wrap=True)


def print_path(what: str, path: Path) -> None:
    """Say where a file was written, in a line that is never broken."""
    output.print(Text(printable(f"{what}: {path}")), soft_wrap=True)


@contextmanager
def progress_bars(quiet: bool) -> Generator[Report]:
    """One bar per stage, on standard error; none when ``quiet`` or where nobody looks."""
    if quiet or not errors.is_terminal:
        yield silent
        return
    plain = errors.options.ascii_only
    columns = (
        SpinnerColumn("line" if plain else "dots", finished_text="+" if plain else "[green]✓[/]"),
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
