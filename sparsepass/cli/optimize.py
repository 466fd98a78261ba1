"""Commands that write a model: ``optimize`` and ``inline``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    ProfileFiles,
    Quiet,
    SamplesPath,
    Seed,
    Shapes,
    Threads,
    read_shapes,
    read_transform,
)
from sparsepass.cli.outputs import beside, check_outputs
from sparsepass.errors import ModelError, UsageError
from sparsepass.limits import MOST_BYTES
from sparsepass.run import OPERATORS, Emit, RunOptions

if TYPE_CHECKING:
    from sparsepass.report.targets import Targets

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
    profile: ProfileFiles = None,
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
    emit: Annotated[
        Emit,
        typer.Option(
            help="What layers become: custom operators, or sums of plain convolutions with "
            "N:M-structured weights for runtimes that run those faster (with --max-error)."
        ),
    ] = OPERATORS,
    isa: Isa = None,
    seed: Seed = 0,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Refuse models whose weights take more memory.")
    ] = MOST_BYTES,
    quiet: Quiet = False,
) -> None:
    """Rewrite MODEL so that it runs faster, verify it, and write it with a report."""
    from sparsepass.cli import work

    target = out or beside(model, ".sparse.onnx")
    outputs = (None if dry_run else target, report, json, pareto, save_plan)
    check_outputs(outputs, [labels, plan, *(profile or ())], models=[model], samples=samples)
    if report:
        work.check_format(report)
    if pareto:
        work.check_pareto(pareto)
    profiles = [work.MachineProfile.load(path) for path in profile or ()]
    if len(profiles) > 1:
        others = {
            "--report": report,
            "--plan": plan,
            "--pareto": pareto,
            "--labels": labels,
            "--max-drop": max_drop is not None,
            "--weight-bits": weight_bits,
            "--emit": emit != OPERATORS,
            "--isa": isa,
        }
        given = [name for name, value in others.items() if value]
        if not dry_run or given:
            without = f", and no {', '.join(given)}" if given else ""
            raise UsageError(f"several profiles are compared in a dry run: give --dry-run{without}")
        with progress_bars(quiet) as progress:
            options = RunOptions(
                threads=threads,
                seed=seed,
                progress=progress,
                samples=samples,
                image_transform=read_transform(image_transform),
                shapes=read_shapes(shape),
                max_error=max_error,
                max_memory=max_memory,
                max_bytes=max_bytes,
            )
            targets = work.plan_for(profiles, model, options)
        save_targets(targets, json, save_plan)
        work.print_targets(output, targets, quiet=quiet)
        print_written(outputs)
        return
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
            profile=profiles[0] if profiles else None,
            measure=measure,
            measure_seconds=measure_seconds,
            dry_run=dry_run,
            advise=bool(report or json),
            emit=emit,
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
    print_written(outputs)


def save_targets(targets: "Targets", json: Path | None, plan: Path | None) -> None:
    """Write the comparison, and the plan that serves all targets best."""
    if json:
        targets.save(json)
    if plan:
        targets.best.plan.save(plan)


def print_written(outputs: Sequence[Path | None]) -> None:
    """Name the files that were written: a model, a report, JSON, time against error, a plan."""
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

    check_outputs([out], [], models=[model])
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
