"""The application: every command is added here, and nowhere else."""

import logging
from typing import Annotated

import typer

from sparsepass.cli.compare import bench, verify
from sparsepass.cli.console import output
from sparsepass.cli.inspect import analyze, explain, info
from sparsepass.cli.optimize import inline, optimize
from sparsepass.cli.profile import calibrate
from sparsepass.cli.prune import prune
from sparsepass.tool import tool_name

__all__ = ["app"]

app = typer.Typer(
    name="sparsepass",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        output.print(tool_name(), highlight=False)
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what the passes do.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Make convolutional networks fast on CPUs: each layer by the algorithm for its sparsity."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


for command in (optimize, analyze, explain, verify, bench, prune, calibrate, inline, info):
    app.command()(command)
