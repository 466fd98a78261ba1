"""The command that writes zeros into a plain model: ``prune``."""

from pathlib import Path
from typing import Annotated

import typer

from sparsepass.cli.console import output, print_path, progress_bars
from sparsepass.cli.options import (
    ImageTransformText,
    JsonFile,
    LabelsFile,
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
from sparsepass.cli.outputs import beside, check_outputs
from sparsepass.errors import UsageError
from sparsepass.run import FREE, Pattern

__all__ = ["prune"]


def prune(
    model: ModelPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write. Default: MODEL.pruned.onnx.", show_default=False
        ),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Share of zeros among the weights of all layers, such as 0.7.", show_default=False
        ),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(help="Allowed relative error of the outputs.", show_default=False),
    ] = None,
    speedup: Annotated[
        float | None,
        typer.Option(help="Predicted speed-up of the layers to reach.", show_default=False),
    ] = None,
    pattern: Annotated[
        Pattern,
        typer.Option(help="Where zeros may be: anywhere, or in blocks of 4 input channels."),
    ] = FREE,
    samples: SamplesPath = None,
    labels: LabelsFile = None,
    image_transform: ImageTransformText = None,
    shape: Shapes = None,
    threads: Threads = 1,
    profile: ProfileFile = None,
    json: JsonFile = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Set weights of MODEL to zero that matter little, and write it as plain ONNX.

    For those who fine-tune: give the result to 'optimize' afterwards.
    """
    from sparsepass.cli import work

    target = out or beside(model, ".pruned.onnx")
    check_outputs([target, json], [labels, profile], models=[model], samples=samples)
    if samples is None:
        raise UsageError("pruning needs samples to be measured on; give --samples as well")
    with progress_bars(quiet) as progress:
        result = work.prune(
            model,
            samples=samples,
            sparsity=sparsity,
            max_error=max_error,
            speedup=speedup,
            pattern=pattern,
            labels=labels,
            image_transform=read_transform(image_transform),
            threads=threads,
            shapes=read_shapes(shape),
            profile=None if profile is None else work.MachineProfile.load(profile),
            seed=seed,
            progress=progress,
        )
    result.save(target)
    if json:
        result.report.save(json)
    work.print_pruning(output, result.report, quiet=quiet)
    for what, path in (("model", target), ("JSON", json)):
        if path:
            print_path(what, path)
