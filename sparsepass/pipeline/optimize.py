"""The main job: read, measure, choose, rewrite, verify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.algorithms import DENSE
from sparsepass.limits import MOST_BYTES
from sparsepass.model import save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.advising import advice_of
from sparsepass.pipeline.assemble import analysis_of, report_of
from sparsepass.pipeline.offers import Offers, collect_offers
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.rewrite import check_choices
from sparsepass.pipeline.search import Outcome, search
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.study import naming, study
from sparsepass.pipeline.tiling import check_tiling, tile
from sparsepass.pipeline.trials import Trials, is_lossy, open_trials
from sparsepass.plan import PLAN_KEY, Choice, Plan, Tiling
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.report.schema import Analysis, Report
from sparsepass.run import Progress, RunOptions, silent
from sparsepass.samples import SampleSource
from sparsepass.tool import tool_name

if TYPE_CHECKING:
    import torch

__all__ = ["Result", "analyze", "optimize"]


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
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    max_error: float = 0.0,
    max_memory: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    plan: Plan | None = None,
    profile: MachineProfile | None = None,
    measure: bool = True,
    dry_run: bool = False,
    advise: bool = False,
    isa: str | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Result:
    """Rewrite ``model`` so that every layer runs by the algorithm that its sparsity deserves.

    ``samples`` (see ``samples.load_samples``) are measured and verified on; without
    them seeded noise stands in.  Lossy algorithms are offered only with ``max_error``, the allowed
    relative error of the outputs, and need samples.  ``max_memory`` limits the bytes that the
    weights of all layers take in memory; without it only time counts.  ``shapes`` settles open
    input sizes for the plan.  ``plan`` replays an earlier one instead of choosing; a lossy one
    brings its error budget.  ``measure`` times the offers that could win inside the network;
    without it predictions decide.  ``profile`` has the prices; one of another machine makes a plan
    for that machine, which is verified here and not timed.  Prices that ship with the package and
    are of another machine are not trusted to rule an offer out.  A dry run chooses and neither
    rewrites nor verifies: its ``model`` is the cleaned dense network.  With ``advise`` the report
    says what pruning would be worth.  ``isa`` makes our kernels use a narrower instruction set than
    this machine's: ``baseline``, ``avx2`` or ``avx512``.

    Raises ModelError for a model that cannot be used, UsageError for wrong arguments and PlanError
    for a plan that does not fit.
    """
    if plan is not None and max_error == 0 and any(map(is_lossy, plan.choices)):
        max_error = plan.max_error
    options = RunOptions(
        threads=threads,
        isa=isa,
        seed=seed,
        progress=progress,
        samples=samples,
        image_transform=image_transform,
        shapes=shapes or {},
        max_error=max_error,
        max_memory=max_memory,
        max_bytes=max_bytes,
        measure=measure,
        dry_run=dry_run,
    )
    prices = prices_for(options, profile)
    options = replace(options, elsewhere=prices.elsewhere is not None)
    with naming(model):
        studied = study(model, options, example_inputs, prices.target)
        if plan is not None:
            check_plan(studied, plan)
        offers = collect_offers(studied, prices.costs, options)
        made = carry_out(offers, plan)
        advice = advice_of(studied, prices.costs, options) if advise else None
    final = Plan(
        tool=tool_name(),
        machine=prices.elsewhere.cpu if prices.elsewhere else cpu_name(),
        threads=prices.elsewhere.threads if prices.elsewhere else threads,
        max_error=max_error,
        tiling=made.tiling,
        choices=made.choices,
    )
    warnings = tuple(filter(None, [prices.warning, *made.warnings]))
    report = report_of(offers, final, made.outcome, warnings)
    report = report.model_copy(update={"advice": advice})
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
    with naming(model):
        studied = study(model, options, example_inputs, prices.target)
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


def check_plan(studied: Studied, plan: Plan) -> None:
    """Raise PlanError where a plan cannot be carried out."""
    check_choices(studied, plan.choices)
    if plan.tiling:
        check_tiling(studied, plan.tiling)


def carry_out(offers: Offers, plan: Plan | None) -> Made:
    """Find the plan that is right and fast; a dry run only chooses one.  ``plan`` is replayed."""
    studied, options = offers.studied, offers.options

    def choices_for(budget: float) -> tuple[Choice, ...]:
        return plan.choices if plan is not None else offers.choose(budget)

    first = choices_for(options.max_error)
    tiling = plan.tiling if plan else None
    if options.dry_run:
        return Made(studied.prepared.model, every_layer(studied, first, first, {}), tiling)
    trials = open_trials(studied, options)
    outcome = search(
        choices_for,
        offers.answers,
        trials,
        max_error=options.max_error,
        replayed=plan is not None,
        extended=options.max_memory is None,
        timed=not options.elsewhere,
    )
    if plan is None or tiling:
        outcome = tile(outcome, trials, tiling)
    made = outcome.candidate
    choices = every_layer(studied, made.choices, first, outcome.fates)
    return Made(made.model, choices, made.tiling, outcome, warnings_of(trials, outcome, plan))


def warnings_of(trials: Trials, outcome: Outcome, plan: Plan | None) -> tuple[str, ...]:
    """What a user should know of the outcome, and of a replayed plan."""
    warnings = [
        f"output {name} of the original has NaN or infinite values; give samples that avoid them"
        for name, output in trials.noise.outputs.items()
        if not output.finite
    ]
    if outcome.untouched:
        warnings.append("nothing was as fast as the original network: the file is the original")
    if plan is not None and outcome.fates:
        listed = "; ".join(f"{layer} {fate}" for layer, fate in outcome.fates.items())
        warnings.append(f"{len(outcome.fates)} layers of the plan did not keep it: {listed}")
    if plan is not None and plan.tiling and not outcome.candidate.tiling:
        groups = plan.tiling.micro_batch
        warnings.append(f"groups of {groups} images were not faster: given up")
    return tuple(warnings)


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
