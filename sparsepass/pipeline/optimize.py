"""The main job: read, measure, choose, rewrite, verify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.bits import Bits
from sparsepass.labels import LabelSource
from sparsepass.limits import MOST_BYTES
from sparsepass.model import save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.advising import advice_of
from sparsepass.pipeline.assemble import report_of, unproven_report
from sparsepass.pipeline.carry_out import carry_out, check_plan, error_of, plan_of
from sparsepass.pipeline.offers import collect_offers
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.stages import Studied, Unproven
from sparsepass.pipeline.study import proven, study, working_on
from sparsepass.pipeline.warnings import NOTHING, constants_now
from sparsepass.plan import PLAN_KEY, Plan, changes_outputs
from sparsepass.profile import MachineProfile
from sparsepass.report.schema import Report, StageTime
from sparsepass.run import OPERATORS, Emit, Progress, RunOptions, Stopwatch, silent
from sparsepass.samples import SampleSource

if TYPE_CHECKING:
    import torch

__all__ = ["Result", "optimize", "signed"]


@dataclass(frozen=True)
class Result:
    """An optimized network, the plan behind it and the report about it."""

    model: ir.Model
    plan: Plan
    report: Report

    def save(self, path: str | Path) -> None:
        """Write the model, whole or not at all; raises UsageError where that is impossible."""
        save(self.model, path)


def optimize(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    labels: LabelSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    max_error: float = 0.0,
    max_drop: float | None = None,
    pareto: bool = False,
    weight_bits: Bits | None = None,
    max_memory: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    plan: Plan | None = None,
    profile: MachineProfile | None = None,
    measure: bool = True,
    measure_seconds: float = 20.0,
    dry_run: bool = False,
    advise: bool = False,
    emit: Emit = OPERATORS,
    isa: str | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Result:
    """Rewrite ``model`` so that every layer runs by the algorithm that its sparsity deserves.

    ``samples`` (see ``samples.load_samples``) are measured and verified on; without
    them seeded noise stands in.  Lossy algorithms are offered only with ``max_error``, the allowed
    relative error of the outputs, or ``max_drop``, the percentage points of right first answers
    that may be lost, and need samples.  Right is what ``labels`` say (see ``labels.read_labels``),
    else the class folders of the samples, else the original.  ``pareto`` adds plans for a ladder of
    error budgets to the report, from the same calibration.  ``weight_bits``, 8 or 4, holds weights
    in so many bits in the file, within the same limits; they are computed with in float32.
    ``max_memory`` limits the bytes that the weights of all layers take in memory; without it only
    time counts.  ``shapes`` settles open input sizes for the plan.  ``plan`` replays an earlier one
    instead of choosing; a lossy one brings its error budget.  ``measure`` times the offers that
    could win inside the network, for about ``measure_seconds``; without it predictions decide.
    Times are kept in the user's cache, and not measured again.  ``profile`` has the prices; one of
    another machine makes a plan for that machine, which is verified here and not timed.  Prices
    that ship with the package and are of another machine are not trusted to rule an offer out.  A
    dry run chooses and neither rewrites nor verifies: its ``model`` is the cleaned dense network.
    With ``advise`` the report says what pruning would be worth.  With ``emit="nm-series"`` the
    network stays one of standard operators: under the error budget, layers become sums of
    convolutions with N:M-structured weights, for runtimes that run those faster; ONNX Runtime does
    not, and nothing is timed.  ``isa`` makes our kernels use a narrower instruction set than this
    machine's: ``baseline``, ``avx2`` or ``avx512``.

    Raises ModelError for a model that cannot be used, UsageError for wrong arguments and PlanError
    for a plan that does not fit.
    """
    asked = max_error > 0 or max_drop is not None
    if plan is not None:
        weight_bits = weight_bits or plan.weight_bits
        if not asked and changes_outputs(plan.choices, weight_bits):
            max_error, max_drop = plan.max_error, plan.max_drop
    watch = Stopwatch(progress)
    options = RunOptions(
        threads=threads,
        isa=isa,
        seed=seed,
        progress=watch,
        samples=samples,
        labels=labels,
        image_transform=image_transform,
        shapes=shapes or {},
        max_error=max_error,
        max_drop=max_drop,
        pareto=pareto,
        weight_bits=weight_bits,
        max_memory=max_memory,
        max_bytes=max_bytes,
        measure=measure,
        measure_seconds=measure_seconds,
        dry_run=dry_run,
        emit=emit,
    )
    prices = prices_for(options, profile)
    options = replace(options, elsewhere=prices.elsewhere is not None)
    with working_on(model):
        studied = study(model, options, example_inputs, prices.target)
        if plan is not None:
            check_plan(studied, plan, options)
        if isinstance(studied, Studied) and not dry_run:
            studied = proven(studied, options)
        if isinstance(studied, Unproven):
            return kept(studied, options)
        offers = collect_offers(studied, prices.costs, options)
        made = carry_out(offers, plan)
        advice = advice_of(studied, prices.costs, options) if advise else None
    final = plan_of(options, made, error_of(made, options), prices.elsewhere)
    warnings = tuple(filter(None, [prices.warning, *studied.warnings, *made.warnings]))
    report = report_of(offers, final, made.outcome, warnings, made.pareto)
    watch.stop()
    stages = tuple(StageTime(stage=name, seconds=took) for name, took in watch.seconds.items())
    report = report.model_copy(update={"advice": advice, "stages": stages})
    return Result(signed(made.model, final), final, report)


def kept(unproven: Unproven, options: RunOptions) -> Result:
    """The result for a network whose layers stay as they are: only exact passes ran."""
    plan = plan_of(options)
    prepared = unproven.prepared
    warnings = (NOTHING + unproven.reason, *constants_now(prepared))
    report = unproven_report(unproven, plan, options, warnings)
    return Result(signed(prepared.model, plan), plan, report)


def signed(model: ir.Model, plan: Plan) -> ir.Model:
    """A copy of ``model`` that says who made it, and by which plan."""
    copy = model.clone()
    copy.producer_name = "sparsepass"
    copy.producer_version = plan.tool.removeprefix("sparsepass ")
    copy.metadata_props[PLAN_KEY] = plan.model_dump_json()
    return copy
