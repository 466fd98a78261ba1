"""The command that measures the machine: ``calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import print_path, progress_bars
from sparsepass.cli.options import Isa, Quiet, Threads
from sparsepass.errors import UsageError
from sparsepass.files import check_targets, make_folder
from sparsepass.run import RunOptions

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
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Some seconds: correct the nearest profile by a few probes."),
    ] = False,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="At once: move the prices in use to what earlier runs of optimize measured.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure this machine (less than two minutes), so that predictions are its own."""
    from sparsepass.cli import work

    if quick and learn:
        raise UsageError("--quick and --learn are two ways to correct a profile; give one")
    target = out or work.cached_path(work.cpu_name(), work.instruction_set(isa), threads)
    if out is None:
        make_folder(target.parent)
    check_targets([target])
    with progress_bars(quiet) as progress:
        done = RunOptions(threads=threads, progress=progress).step("measuring machine")
        if learn:
            profile = work.learn_profile(threads, isa=isa)
        elif quick:
            known = work.nearest(threads, work.target(isa))
            profile = work.correct_profile(known, threads, isa=isa, progress=done)
        else:
            profile = work.measure_profile(threads, isa=isa, progress=done)
    profile.save(target)
    print_path("profile", target)
