"""Commands that compare two models: ``verify`` and ``bench``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from sparsepass.cli.console import output, progress_bars
from sparsepass.cli.options import (
    ImageTransformText,
    Isa,
    LabelsFile,
    MaxDrop,
    ModelPath,
    Quiet,
    SamplesPath,
    Seed,
    Shapes,
    Threads,
    read_shapes,
    read_transform,
)
from sparsepass.cli.outputs import check_outputs
from sparsepass.run import RunOptions
from sparsepass.text import printable

__all__ = ["bench", "verify"]

OptimizedPath = Annotated[
    Path | None,
    typer.Argument(help="What 'optimize' made of it.", show_default=False),
]


def verify(
    model: ModelPath,
    optimized: Annotated[
        Path, typer.Argument(help="What 'optimize' made of it.", show_default=False)
    ],
    samples: SamplesPath = None,
    labels: LabelsFile = None,
    image_transform: ImageTransformText = None,
    shape: Shapes = None,
    threads: Threads = 1,
    max_error: Annotated[
        float | None,
        typer.Option(
            "--max-error",
            min=0.0,
            help="Allowed relative error. Default: what the plan in the file was made for.",
            show_default=False,
        ),
    ] = None,
    max_drop: MaxDrop = None,
    isa: Isa = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Verify that OPTIMIZED gives the outputs of MODEL, with and without the op library."""
    from sparsepass.cli import work

    with progress_bars(quiet) as progress:
        options = RunOptions(
            threads=threads,
            isa=isa,
            seed=seed,
            progress=progress,
            samples=samples,
            labels=labels,
            image_transform=read_transform(image_transform),
            shapes=read_shapes(shape),
            max_drop=max_drop,
        )
        verified = work.verify_files(model, optimized, options, max_error=max_error)
    for name, found in verified.items():
        agreement = (
            "" if found.top1_agreement is None else f", top-1 agreement {found.top1_agreement:.1%}"
        )
        output.print(
            f"{name}: outputs equal within {found.max_absolute_error:.3g} "
            f"(allowed {found.tolerance:.3g}) on {found.samples} samples{agreement}",
            highlight=False,
            soft_wrap=True,
        )
        if found.answers is not None and (labels is not None or max_drop is not None):
            output.print(work.answers_fact(found.answers), highlight=False, soft_wrap=True)


def bench(
    model: ModelPath,
    optimized: OptimizedPath = None,
    threads: Threads = 1,
    shape: Shapes = None,
    samples: SamplesPath = None,
    image_transform: ImageTransformText = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long to time, about, for all engines together.")
    ] = 10.0,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the times as JSON.", show_default=False)
    ] = None,
    isa: Isa = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Time MODEL in plain ONNX Runtime, OPTIMIZED with our library, and MODEL in other engines.

    All run in this process, in turn. Without OPTIMIZED, MODEL is taken for an optimized file.
    """
    from sparsepass.cli import work

    compared = [model, optimized] if optimized else [model]
    check_outputs([json], [], models=compared, samples=samples)
    with progress_bars(quiet) as progress:
        options = RunOptions(
            threads=threads,
            isa=isa,
            seed=seed,
            progress=progress,
            samples=samples,
            image_transform=read_transform(image_transform),
            shapes=read_shapes(shape),
        )
        rows = work.compare_engines(model, optimized or model, options, seconds=seconds)
    if json:
        work.save_rows(json, rows)
    cells = [row.cells() for row in rows]
    if output.is_terminal:
        print_rows(cells)
    else:
        output.print(Text(work.table(cells)), soft_wrap=True, end="")


def print_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """A table on a terminal."""
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="dim")
    for name in rows[0]:
        drawn.add_column(name, justify="right" if name.endswith(("ms", "up")) else "left")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row.values()))
    output.print(drawn)
