"""Commands that write a model: ``optimize`` and ``inline``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.bits import read_bits
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
    read_shapes,
    read_transform,
)
from sparsepass.errors import ModelError
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
    measure_seconds: Annotated[
        float,
        typer.Option(help="About how long to time them; what was timed before counts for nothing."),
    ] = 20.0,
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
    outputs = (None if dry_run else target, report, json, pareto, save_plan)
    check_targets([path for path in outputs if path], source=model)
    if report:
        work.check_format(report)
    if pareto:
        work.check_pareto(pareto)
    with progress_bars(quiet) as progress:
        result = work.optimize(
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
            plan=None if plan is None else work.Plan.load(plan),
            profile=None if profile is None else work.MachineProfile.load(profile),
            measure=measure,
            measure_seconds=measure_seconds,
            dry_run=dry_run,
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
    if pareto:
        work.write_pareto(result.report.pareto, pareto)
    if save_plan:
        result.plan.save(save_plan)
    work.print_report(output, result.report, quiet=quiet)
    for what, path in zip(("model", "report", "JSON", "pareto", "plan"), outputs, strict=True):
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
    if loaded.functions:
        domain, name, _ = next(iter(loaded.functions))
        raise ModelError(
            f"{model}: the body of function {name!r} of {domain!r} is of another opset or takes a "
            "graph; it stays a call: export without functions"
        )
    work.save(loaded, out)
    print_path("model", out)
