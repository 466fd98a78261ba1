"""Commands that write a model: ``optimize`` and ``inline``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import output, print_path, progress_bars
from sparsepass.cli.options import (
    ImageTransformText,
    Isa,
    JsonFile,
    MaxError,
    ModelPath,
    ProfileFile,
    Quiet,
    SamplesPath,
    Seed,
    Shapes,
    Threads,
    read_shapes,
    read_transform,
)
from sparsepass.files import check_targets
from sparsepass.limits import MOST_BYTES

__all__ = ["inline", "optimize"]


def optimize(
    model: ModelPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write. Default: MODEL.sparse.onnx.", show_default=False
        ),
    ] = None,
    threads: Threads = 1,
    shape: Shapes = None,
    samples: SamplesPath = None,
    image_transform: ImageTransformText = None,
    max_error: MaxError = 0.0,
    max_memory: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Bytes that the weights of all layers may take in memory. Default: no limit.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the report as one HTML file.", show_default=False),
    ] = None,
    json: JsonFile = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Replay a saved plan instead of choosing.", show_default=False),
    ] = None,
    save_plan: Annotated[
        Path | None, typer.Option(help="Save the plan as JSON.", show_default=False)
    ] = None,
    profile: ProfileFile = None,
    measure: Annotated[
        bool,
        typer.Option(help="Time the algorithms that could win, or trust the machine profile."),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Choose and report, but write no model.")
    ] = False,
    isa: Isa = None,
    seed: Seed = 0,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Refuse models whose weights take more memory.")
    ] = MOST_BYTES,
    quiet: Quiet = False,
) -> None:
    """Rewrite MODEL so that it runs faster, verify it, and write it with a report."""
    from sparsepass.cli import work

    target = out or model.with_suffix(".sparse.onnx")
    outputs = (None if dry_run else target, report, json, save_plan)
    check_targets([path for path in outputs if path], source=model)
    if report:
        work.check_format(report)
    with progress_bars(quiet) as progress:
        result = work.optimize(
            model,
            samples=samples,
            image_transform=read_transform(image_transform),
            threads=threads,
            max_error=max_error,
            max_memory=max_memory,
            shapes=read_shapes(shape),
            plan=None if plan is None else work.Plan.load(plan),
            profile=None if profile is None else work.MachineProfile.load(profile),
            measure=measure,
            dry_run=dry_run,
            advise=bool(report or json),
            isa=isa,
            seed=seed,
            max_bytes=max_bytes,
            progress=progress,
        )
    if not dry_run:
        result.save(target)
    if report:
        work.write(result.report, report)
    if json:
        result.report.save(json)
    if save_plan:
        result.plan.save(save_plan)
    work.print_report(output, result.report, quiet=quiet)
    for what, path in zip(("model", "report", "JSON", "plan"), outputs, strict=True):
        if path:
            print_path(what, path)


def inline(
    model: ModelPath,
    out: Annotated[
        Path, typer.Option("-o", "--output", help="Where to write.", show_default=False)
    ],
) -> None:
    """Write MODEL with standard operators only, for tools that cannot read functions."""
    from sparsepass.cli import work

    check_targets([out], source=model)
    loaded = work.load(model)
    work.prepare(loaded)
    work.save(loaded, out)
    print_path("model", out)
