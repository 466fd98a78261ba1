"""The command that measures the machine: ``calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import print_path, progress_bars
from sparsepass.cli.options import Isa, Quiet, Threads, check_target
from sparsepass.profile import cached_path, cpu_name
from sparsepass.run import RunOptions
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.microbench import measure_profile

__all__ = ["calibrate"]


def calibrate(
    threads: Threads = 1,
    isa: Isa = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write. Default: the user's cache.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure this machine (some minutes), so that predictions are its own."""
    if out:
        check_target(out)
    target = out or cached_path(cpu_name(), instruction_set(isa), threads)
    with progress_bars(quiet) as progress:
        done = RunOptions(threads=threads, progress=progress).step("measuring machine")
        profile = measure_profile(threads, isa=isa, progress=done)
    profile.save(target)
    print_path("profile", target)
