"""Commands that write a model: ``optimize`` and ``inline``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import output, print_path, progress_bars
from sparsepass.cli.options import (
    ImageTransformText,
    Isa,
    JsonFile,
    LabelsFile,
    MaxDrop,
    MaxError,
    ModelPath,
    ProfileFile,
    Quiet,
    SamplesPath,
    Seed,
    Shapes,
    Threads,
    check_target,
    read_shapes,
    read_transform,
)
from sparsepass.coded import read_bits
from sparsepass.model import MOST_BYTES, load, save
from sparsepass.pipeline import optimize as run_optimize
from sparsepass.pipeline.prepare import prepare
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile
from sparsepass.report import (
    check_format,
    check_pareto,
    print_report,
    write,
    write_pareto,
)

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
    labels: LabelsFile = None,
    image_transform: ImageTransformText = None,
    max_error: MaxError = 0.0,
    max_drop: MaxDrop = None,
    pareto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write time against error for a ladder of budgets, as .csv or .json; the report "
            "shows them too.",
            show_default=False,
        ),
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            "--weight-bits",
            metavar="8|4",
            help="Hold weights in so many bits in the file, within the allowed error or drop.",
            show_default=False,
        ),
    ] = None,
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
        typer.Option(help="Write the report as one file, .html, .md or .json.", show_default=False),
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
    target = out or model.with_suffix(".sparse.onnx")
    for path in filter(None, (None if dry_run else target, report, json, pareto, save_plan)):
        check_target(path, source=model)
    if report:
        check_format(report)
    if pareto:
        check_pareto(pareto)
    with progress_bars(quiet) as progress:
        result = run_optimize(
            model,
            samples=samples,
            labels=labels,
            image_transform=read_transform(image_transform),
            threads=threads,
            max_error=max_error,
            max_drop=max_drop,
            pareto=pareto is not None,
            weight_bits=read_bits(weight_bits),
            max_memory=max_memory,
            shapes=read_shapes(shape),
            plan=None if plan is None else Plan.load(plan),
            profile=None if profile is None else MachineProfile.load(profile),
            measure=measure,
            dry_run=dry_run,
            isa=isa,
            seed=seed,
            max_bytes=max_bytes,
            progress=progress,
        )
    if not dry_run:
        result.save(target)
    if report:
        write(result.report, report)
    if json:
        result.report.save(json)
    if pareto:
        write_pareto(result.report.pareto, pareto)
    if save_plan:
        result.plan.save(save_plan)
    print_report(output, result.report, quiet=quiet)
    written = (("model", None if dry_run else target), ("report", report), ("JSON", json))
    for what, path in (*written, ("pareto", pareto), ("plan", save_plan)):
        if path:
            print_path(what, path)


def inline(
    model: ModelPath,
    out: Annotated[
        Path, typer.Option("-o", "--output", help="Where to write.", show_default=False)
    ],
) -> None:
    """Write MODEL with standard operators only, for tools that cannot read functions."""
    check_target(out, source=model)
    loaded = load(model)
    prepare(loaded)
    save(loaded, out)
    print_path("model", out)
