"""The main job: read, measure, choose, rewrite, verify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.algorithms import DENSE
from sparsepass.bits import Bits
from sparsepass.errors import PlanError
from sparsepass.labels import LabelSource
from sparsepass.limits import MOST_BYTES
from sparsepass.model import save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.advising import advice_of
from sparsepass.pipeline.assemble import (
    analysis_of,
    report_of,
    unproven_analysis,
    unproven_report,
)
from sparsepass.pipeline.judging import too_few
from sparsepass.pipeline.offers import Offers, collect_offers
from sparsepass.pipeline.pareto import pareto_points
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.rewrite import check_choices
from sparsepass.pipeline.search import Outcome, active, search
from sparsepass.pipeline.stages import Prepared, Studied, Unproven
from sparsepass.pipeline.study import proven, study, working_on
from sparsepass.pipeline.tiling import check_tiling, tile
from sparsepass.pipeline.trials import Trials, open_trials
from sparsepass.plan import PLAN_KEY, Choice, Plan, Tiling, changes_outputs
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.report.schema import Analysis, ParetoPoint, Report, StageTime
from sparsepass.run import OPERATORS, Emit, Progress, RunOptions, Stopwatch, silent
from sparsepass.samples import SampleSource
from sparsepass.tool import tool_name

if TYPE_CHECKING:
    import torch

__all__ = ["NOTHING", "Result", "analyze", "optimize"]

# How the report begins to say why a network runs as before.
NOTHING = "nothing to optimize: "
AGAIN = "sparsepass wrote this file: its plan was made anew from the layers that it came from"

# Errors on other samples than those of a fit are within about this factor.
SLACK = 1.2
# Shares of the weights that 8 bits may hold where 4 were asked for: the first within the limits.
FINER = (1 / 4, 1 / 2, 2 / 3, 9 / 10)


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


def analyze(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    profile: MachineProfile | None = None,
    isa: str | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Analysis:
    """Measure where ``model`` is sparse, say what pruning would be worth, and change nothing.

    See ``optimize`` for the arguments.  The advice is predicted, by the prices of ``profile``, or
    those for this machine.
    """
    options = RunOptions(
        threads=threads,
        isa=isa,
        seed=seed,
        progress=progress,
        samples=samples,
        image_transform=image_transform,
        shapes=shapes or {},
        max_bytes=max_bytes,
    )
    prices = prices_for(options, profile)
    with working_on(model):
        studied = study(model, options, example_inputs, prices.target)
        if isinstance(studied, Unproven):
            return unproven_analysis(studied, options)
        advice = advice_of(studied, prices.costs, options)
    warnings = () if prices.warning is None else (prices.warning,)
    return analysis_of(studied, options, prices.elsewhere).model_copy(
        update={"advice": advice, "warnings": warnings}
    )


@dataclass(frozen=True)
class Made:
    """What became of a plan; ``outcome`` is None where it was not carried out."""

    model: ir.Model
    choices: tuple[Choice, ...]
    tiling: Tiling | None = None
    outcome: Outcome | None = None
    warnings: tuple[str, ...] = ()
    pareto: tuple[ParetoPoint, ...] = ()
    weight_bits: Bits | None = None


def kept(unproven: Unproven, options: RunOptions) -> Result:
    """The result for a network whose layers stay as they are: only exact passes ran."""
    plan = plan_of(options)
    prepared = unproven.prepared
    warnings = (NOTHING + unproven.reason, *constants_now(prepared))
    report = unproven_report(unproven, plan, options, warnings)
    return Result(signed(prepared.model, plan), plan, report)


def plan_of(
    options: RunOptions,
    made: Made | None = None,
    max_error: float = 0.0,
    elsewhere: MachineProfile | None = None,
) -> Plan:
    """The plan of a run on this machine, or for that of a profile."""
    return Plan(
        tool=tool_name(),
        machine=elsewhere.cpu if elsewhere else cpu_name(),
        threads=elsewhere.threads if elsewhere else options.threads,
        max_error=max_error,
        max_drop=options.max_drop,
        weight_bits=made.weight_bits if made else None,
        tiling=made.tiling if made else None,
        choices=made.choices if made else (),
    )


def check_plan(studied: Studied | Unproven, plan: Plan, options: RunOptions) -> None:
    """Raise PlanError where a plan cannot be carried out."""
    if isinstance(studied, Unproven):
        if plan.choices:
            raise PlanError(f"plan: {studied.reason}; optimize without a plan")
        return
    check_choices(studied, plan.choices, options)
    if plan.tiling:
        check_tiling(studied, plan.tiling)


def carry_out(offers: Offers, plan: Plan | None) -> Made:
    """Find the plan that is right and fast; a dry run only chooses one.  ``plan`` is replayed."""
    studied, options = offers.studied, offers.options

    def choices_for(budget: float) -> tuple[Choice, ...]:
        return plan.choices if plan is not None else offers.choose(budget)

    first = choices_for(options.first_budget)
    tiling = plan.tiling if plan else None
    if options.dry_run:
        choices = every_layer(studied, first, first, {})
        points = (
            pareto_points(offers, choices, options.first_budget, None) if options.pareto else ()
        )
        return Made(studied.prepared.model, choices, tiling, pareto=points)
    trials, refused = with_bits(open_trials(studied, options))
    outcome = search(
        choices_for,
        offers.answers,
        trials,
        max_error=options.first_budget,
        replayed=plan is not None,
        extended=options.max_memory is None,
        timed=options.timed,
        rivals=[active(offers.by_predictions().choose(0.0))] if options.measured else (),
    )
    if plan is None or tiling:
        outcome = tile(outcome, trials, tiling)
    made = outcome.candidate
    choices = every_layer(studied, made.choices, first, outcome.fates)
    warnings = (*refused, *warnings_of(trials, outcome, plan))
    budget = outcome.fitted.budget if outcome.fitted else options.first_budget
    points = pareto_points(offers, choices, budget, trials) if options.pareto else ()
    bits = None if outcome.untouched else trials.options.weight_bits
    return Made(made.model, choices, made.tiling, outcome, warnings, points, bits)


def with_bits(trials: Trials) -> tuple[Trials, tuple[str, ...]]:
    """Trials with weights in the bits asked for where these alone keep the budget, else without."""
    bits, verified = trials.options.weight_bits, None
    for finer in FINER if bits is not None else ():
        tried = replace(trials, finer=finer)
        verified = trials.verify(tried.make(()))
        if verified.passed:
            return tried, ()
        if bits == 8:
            break
    if verified is None:
        return trials, ()
    finest = f", {FINER[-1]:.0%} of them in 8," if bits != 8 else " alone"
    found = f"weights in {bits} bits{finest} change the outputs by {verified.relative:.3g}"
    without = replace(trials, options=replace(trials.options, weight_bits=None))
    return without, (f"{found}, more than is allowed: they stay float32",)


def error_of(made: Made, options: RunOptions) -> float:
    """The error that other samples are verified with: as asked for, or a little above the measured.

    Where only the answers are limited, the outputs of the same network differ by as much anywhere.
    """
    if options.max_error > 0 or options.max_drop is None or made.outcome is None:
        return options.max_error
    if not changes_outputs(made.choices, made.weight_bits):
        return 0.0
    return min(SLACK * made.outcome.verified.relative, options.error_limit)


def warnings_of(trials: Trials, outcome: Outcome, plan: Plan | None) -> tuple[str, ...]:
    """What a user should know of the outcome, and of a replayed plan."""
    warnings = [
        f"output {name} of the original has NaN or infinite values; give samples that avoid them"
        for name, output in trials.noise.outputs.items()
        if not output.finite
    ]
    studied = trials.studied
    if PLAN_KEY in studied.prepared.original.metadata_props:
        warnings.append(AGAIN)
    warnings += lossy_warnings(trials, outcome)
    if outcome.untouched:
        warnings.append("nothing was as fast as the original network: the file is the original")
    else:
        warnings += constants_now(studied.prepared)
    if not outcome.candidate.choices:
        warnings.append(NOTHING + nothing_because(studied))
    if plan is not None and outcome.fates:
        listed = "; ".join(f"{layer} {fate}" for layer, fate in outcome.fates.items())
        warnings.append(f"{len(outcome.fates)} layers of the plan did not keep it: {listed}")
    if plan is not None and plan.tiling and not outcome.candidate.tiling:
        groups = plan.tiling.micro_batch
        warnings.append(f"groups of {groups} images were not faster: given up")
    return tuple(warnings)


def nothing_because(studied: Studied) -> str:
    """Why no layer runs by another algorithm."""
    absence = studied.prepared.found.absence
    return absence or f"dense is fastest for all of its {len(studied.layers)} layers"


def constants_now(prepared: Prepared) -> tuple[str, ...]:
    """Which initializers callers could give other values for, and can no longer."""
    graph, left = prepared.original.graph, {value.name for value in prepared.model.graph.inputs}
    lost = [v.name or "" for v in graph.inputs if v.name in graph.initializers]
    lost = [name for name in lost if name not in left]
    return (
        (f"initializers that were inputs too are constants now: {', '.join(lost)}",) if lost else ()
    )


def lossy_warnings(trials: Trials, outcome: Outcome) -> list[str]:
    """Why nothing lossy was taken, and whether the samples can tell how many answers were lost."""
    options, found = trials.options, outcome.verified.verification
    if not options.bounded:
        return []
    if not trials.changes_outputs(outcome.candidate):
        return [f"the plan is lossless: {why_lossless(outcome)}"]
    if options.max_drop is None or found.answers is None:
        return []
    return [too_few(found.answers, options.max_drop)]


def why_lossless(outcome: Outcome) -> str:
    """Why a plan under an error budget takes none of it, in a phrase."""
    tried = outcome.fitted.tried if outcome.fitted else ()
    lossy = [entry for entry in tried if entry.lossy]
    if not lossy:
        return "within the budget, nothing lossy is faster than what is exact"
    if any(entry.passed for entry in lossy):
        return "what is lossy and keeps the budget was no faster in the whole network"
    least = min(lossy, key=lambda entry: entry.spent)
    return f"the least lossy plan took {least.spent:.3g} times the budget on held-out samples"


def every_layer(
    studied: Studied,
    choices: Sequence[Choice],
    first: Sequence[Choice],
    fates: Mapping[str, str],
) -> tuple[Choice, ...]:
    """One choice a layer: dense ones keep the reason of the ``first`` plan, or say their fate."""
    final = {choice.layer: choice for choice in choices}
    reasons = {c.layer: c.reason for c in first if c.algorithm == DENSE.name}
    reasons |= dict(fates)
    return tuple(
        final.get(layer.name)
        or Choice(layer=layer.name, algorithm=DENSE.name, reason=reasons.get(layer.name, ""))
        for layer in studied.layers
    )


def signed(model: ir.Model, plan: Plan) -> ir.Model:
    """A copy of ``model`` that says who made it, and by which plan."""
    copy = model.clone()
    copy.producer_name = "sparsepass"
    copy.producer_version = plan.tool.removeprefix("sparsepass ")
    copy.metadata_props[PLAN_KEY] = plan.model_dump_json()
    return copy
