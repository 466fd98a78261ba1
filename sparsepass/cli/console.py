"""Where text goes, and the progress bars of long work."""

from collections.abc import Generator
from contextlib import contextmanager

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

from sparsepass.pipeline.stages import Progress as Report
from sparsepass.pipeline.stages import silent

__all__ = ["errors", "output", "progress_bars"]

output = Console()
errors = Console(stderr=True)


@contextmanager
def progress_bars(quiet: bool) -> Generator[Report]:
    """One bar per stage, on standard error; none when ``quiet``."""
    if quiet:
        yield silent
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
