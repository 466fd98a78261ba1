"""The command that shows saved reports: ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import output, print_path
from sparsepass.cli.options import Quiet
from sparsepass.cli.outputs import check_outputs
from sparsepass.errors import UsageError
from sparsepass.files import write_text

__all__ = ["report"]

HTML, MARKDOWN = (".html", ".htm"), ".md"


def report(
    saved: Annotated[
        Path,
        typer.Argument(metavar="REPORT", help="A report written with --json.", show_default=False),
    ],
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="BEFORE",
            help="Another report, of another run, machine or pruning: show what changed from it to "
            "REPORT, layer by layer.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write it as .html or, compared, as .md.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show a saved REPORT, or what changed from one to another."""
    from sparsepass.cli import work

    suffix = out.suffix.lower() if out else HTML[0]
    if suffix not in (*HTML, *([MARKDOWN] if compare else [])):
        raise UsageError(f"{out}: give a name that ends in .html or, with --compare, in .md")
    check_outputs([out], [saved, compare])
    after = work.Report.load(saved)
    if compare is None:
        work.print_report(output, after, quiet=quiet)
        page = work.render_html(after) if out else ""
    else:
        found = work.compare_reports(work.Report.load(compare), after)
        work.print_difference(output, found, quiet=quiet)
        render = work.render_markdown if suffix == MARKDOWN else work.render_difference
        page = render(found) if out else ""
    if out:
        write_text(out, page)
        print_path("report", out)
