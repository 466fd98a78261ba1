"""The command that measures the machine: ``calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import output, progress_bars
from sparsepass.cli.options import Threads
from sparsepass.pipeline.stages import step
from sparsepass.profile import cached_path, cpu_name
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.microbench import measure_profile

__all__ = ["calibrate"]


def calibrate(
    threads: Threads = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write. Default: the user's cache.", show_default=False
        ),
    ] = None,
) -> None:
    """Measure this machine (a minute or two), so that predictions are its own."""
    target = out or cached_path(cpu_name(), instruction_set(), threads)
    with progress_bars(quiet=False) as progress:
        profile = measure_profile(threads, progress=step(progress, "measuring machine"))
    target.parent.mkdir(parents=True, exist_ok=True)
    profile.save(target)
    output.print(f"profile: {target}", markup=False, highlight=False, soft_wrap=True)
