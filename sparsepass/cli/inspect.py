"""Commands that look and write nothing: ``analyze``, ``explain`` and ``info``."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

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
from sparsepass.cli.outputs import check_outputs
from sparsepass.tool import tool_name

__all__ = ["analyze", "explain", "info"]


def analyze(
    model: ModelPath,
    samples: SamplesPath = None,
    image_transform: ImageTransformText = None,
    shape: Shapes = None,
    threads: Threads = 1,
    profile: ProfileFile = None,
    isa: Isa = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write it as one HTML file, with pictures.", show_default=False),
    ] = None,
    json: JsonFile = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Show where MODEL is sparse, layer by layer, and predict what pruning it would be worth."""
    from sparsepass.cli import work

    check_outputs([report, json], [profile], models=[model], samples=samples)
    if report:
        work.check_format(report, work.ANALYSES)
    with progress_bars(quiet) as progress:
        analysis = work.analyze(
            model,
            samples=samples,
            image_transform=read_transform(image_transform),
            threads=threads,
            shapes=read_shapes(shape),
            profile=None if profile is None else work.MachineProfile.load(profile),
            isa=isa,
            seed=seed,
            progress=progress,
        )
    if report:
        work.write(analysis, report)
    if json:
        analysis.save(json)
    work.print_analysis(output, analysis, quiet=quiet)
    for what, path in (("report", report), ("JSON", json)):
        if path:
            print_path(what, path)


def explain(
    model: Annotated[
        Path,
        typer.Argument(help="An ONNX model, or a report written with --json.", show_default=False),
    ],
    layer: Annotated[str, typer.Argument(help="The name of a layer.", show_default=False)],
    samples: SamplesPath = None,
    image_transform: ImageTransformText = None,
    shape: Shapes = None,
    threads: Threads = 1,
    max_error: MaxError = 0.0,
    profile: ProfileFile = None,
    isa: Isa = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Show every offer and every refusal for one LAYER, and what pruning it would be worth."""
    from sparsepass.cli import work

    if model.suffix == ".json":
        work.print_explanation(output, work.Report.load(model), layer)
        return
    with progress_bars(quiet) as progress:
        result = work.optimize(
            model,
            samples=samples,
            image_transform=read_transform(image_transform),
            threads=threads,
            shapes=read_shapes(shape),
            profile=None if profile is None else work.MachineProfile.load(profile),
            max_error=max_error,
            dry_run=True,
            advise=True,
            isa=isa,
            seed=seed,
            progress=progress,
        )
    work.print_explanation(output, result.report, layer)


def info(threads: Threads = 1) -> None:
    """Show the machine, the versions, the op library and the machine profile in use."""
    import onnx
    import onnxruntime

    from sparsepass.cli import work

    profile, warning = work.find(threads, work.target())
    for name, value in (
        ("sparsepass", tool_name().removeprefix("sparsepass ")),
        ("CPU", work.cpu_name()),
        ("instruction set", work.instruction_set()),
        ("cores", str(os.cpu_count())),
        ("onnxruntime", f"{onnxruntime.__version__} (with the library: 1.17 or newer)"),
        ("onnx", onnx.__version__),
        ("op library", str(work.library_path())),
        ("ops", f"{len(work.registered_ops())} in domain {work.DOMAIN}"),
        ("algorithms", ", ".join(row.name for row in work.ALGORITHMS)),
        ("machine profile", warning or f"{profile}, {profile.date}"),
    ):
        # Whole lines: paths are there to be copied.
        line = Text.assemble((f"{name:<17}", "bold"), value)
        output.print(line, soft_wrap=True, highlight=False)
