"""Where text goes, and the progress bars of long work."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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

from sparsepass.run import Progress as Report
from sparsepass.run import silent
from sparsepass.text import printable

__all__ = ["errors", "output", "print_error", "print_path", "progress_bars", "silence"]

# What a shell says of a process that SIGPIPE ended.
BROKEN_PIPE = 128 + 13


class Stream(Console):
    """A console that ends the process in silence where its reader went away."""

    def on_broken_pipe(self) -> None:
        """Called by rich inside the handler of the exception."""
        silence(self.file)
        raise SystemExit(BROKEN_PIPE)


output = Stream()
errors = Stream(stderr=True)


def print_error(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    text = printable(" ".join(message.split()))
    try:
        errors.print(Text(f"error: {text}", style="red"), soft_wrap=True)
    except OSError:
        # Nobody can be told; the exit code tells.
        silence(sys.stderr)


def silence(stream: IO[str]) -> None:
    """Send what ``stream`` still holds, and all that follows, nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
