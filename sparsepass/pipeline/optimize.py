"""The main job: read, measure, choose, rewrite, prove."""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.algorithms import DENSE
from sparsepass.cost import CostModel
from sparsepass.errors import UsageError
from sparsepass.model import MOST_BYTES, save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.assemble import analysis_of, machine_of, report_of, tool_name
from sparsepass.pipeline.market import Market, open_market
from sparsepass.pipeline.prove import is_lossy, open_trials
from sparsepass.pipeline.rewrite import check_choices
from sparsepass.pipeline.search import Outcome, search
from sparsepass.pipeline.stages import Progress, Studied, silent
from sparsepass.pipeline.study import SampleSource, naming, study
from sparsepass.pipeline.tiling import check_tiling, tile
from sparsepass.plan import PLAN_KEY, Bid, Choice, Plan, Tiling
from sparsepass.profile import MachineProfile, cpu_name, find
from sparsepass.report.schema import Analysis, ErrorBudget, Report, Selector
from sparsepass.runtime.library import instruction_set
from sparsepass.select import quality

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
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Result:
    """Rewrite ``model`` so that every layer runs by the algorithm that its sparsity deserves.

    ``samples`` (see ``samples.load_samples``) give activation statistics and the proof; without
    them seeded noise stands in.  Lossy algorithms are offered only with ``max_error``, the allowed
    relative error of the outputs, and need samples.  ``max_memory`` limits the bytes that the
    weights of all layers take in memory; without it only time counts.  ``shapes`` settles open
    input sizes for the plan.  ``plan`` replays an earlier one instead of choosing; a lossy one
    brings its error budget.  ``measure`` times the offers that could win inside the network;
    without it predictions of ``profile`` decide.  A dry run chooses and neither rewrites nor
    verifies: its ``model`` is the cleaned dense network.

    Raises ModelError for a model that cannot be used, UsageError for wrong arguments and PlanError
    for a plan that does not fit.
    """
    if plan is not None and max_error == 0 and any(map(is_lossy, plan.choices)):
        max_error = plan.max_error
    check_arguments(threads, max_error, samples)
    if max_memory is not None and max_memory < 1:
        raise UsageError(f"a memory limit of {max_memory} bytes makes no sense; give more than 0")
    with naming(model):
        studied = study(
            model, samples=samples, image_transform=image_transform, shapes=shapes,
            example_inputs=example_inputs, moments=max_error > 0, threads=threads, seed=seed,
            progress=progress, max_bytes=max_bytes,
        )  # fmt: skip
        if plan is not None:
            opset = studied.original.opset_imports[""]
            check_choices(studied.layers, studied.stats, plan.choices, opset)
            if plan.tiling:
                check_tiling(studied, plan.tiling)
        found, warning = (profile, None) if profile else find(threads, instruction_set())
        market = open_market(
            studied, CostModel(found), shapes, threads=threads, max_error=max_error,
            max_memory=max_memory, measured=measure and not dry_run, progress=progress,
        )  # fmt: skip
        made = carry_out(
            studied, market, plan,
            threads=threads, max_error=max_error, dry_run=dry_run, progress=progress,
        )  # fmt: skip
    final = Plan(
        tool=tool_name(),
        machine=cpu_name(),
        threads=threads,
        max_error=max_error,
        tiling=made.tiling,
        choices=made.choices,
    )
    report = report_of(
        studied, final, market.bids,
        machine=machine_of(final.machine, threads),
        outcome=made.outcome,
        budget=budget_of(final, market, made.outcome),
        selector=selector_of(market.bids) if measure and not dry_run else None,
        command=" ".join(shlex.quote(part) for part in [Path(sys.argv[0]).name, *sys.argv[1:]]),
        warnings=tuple(filter(None, [warning, *made.warnings])),
    )  # fmt: skip
    return Result(signed(made.model, final), final, report)


def analyze(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Analysis:
    """Measure where ``model`` is sparse, and change nothing; see ``optimize`` for the arguments."""
    check_arguments(threads, 0.0, samples)
    with naming(model):
        studied = study(
            model, samples=samples, image_transform=image_transform, shapes=shapes,
            example_inputs=example_inputs, moments=False, threads=threads, seed=seed,
            progress=progress, max_bytes=max_bytes,
        )  # fmt: skip
    return analysis_of(studied, machine_of(cpu_name(), threads))


def check_arguments(threads: int, max_error: float, samples: SampleSource | None) -> None:
    if threads < 1:
        raise UsageError(f"{threads} threads were asked for; at least 1 is needed")
    if not 0 <= max_error < 1:
        raise UsageError(
            f"a maximal error of {max_error} makes no sense; give one from 0 to below 1"
        )
    if max_error > 0 and samples is None:
        raise UsageError("a maximal error needs samples to be measured on; give --samples as well")


@dataclass(frozen=True)
class Made:
    """What became of a plan; ``outcome`` is None where it was not carried out."""

    model: ir.Model
    choices: tuple[Choice, ...]
    tiling: Tiling | None = None
    outcome: Outcome | None = None
    warnings: tuple[str, ...] = ()


def carry_out(
    studied: Studied,
    market: Market,
    plan: Plan | None,
    *,
    threads: int,
    max_error: float,
    dry_run: bool,
    progress: Progress,
) -> Made:
    """Find the plan that holds, or with ``dry_run`` the one to try."""

    def choices_for(budget: float) -> tuple[Choice, ...]:
        if plan is not None:
            return plan.choices
        return market.choose(studied, budget)

    first = choices_for(max_error)
    tiling = plan.tiling if plan else None
    if dry_run:
        return Made(studied.prepared, every_layer(studied, first, first, {}), tiling)
    trials = open_trials(
        studied, market.layouts, threads=threads, max_error=max_error, progress=progress
    )
    outcome = search(
        choices_for, market.bids, trials, max_error=max_error, replayed=plan is not None,
        widened=market.max_memory is None,
    )  # fmt: skip
    if plan is None or tiling:
        outcome = tile(outcome, trials, tiling)
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
    if tiling and not outcome.candidate.tiling:
        warnings.append(f"groups of {tiling.micro_batch} images were not faster: given up")
    choices = every_layer(studied, outcome.candidate.choices, first, outcome.fates)
    made = outcome.candidate
    return Made(made.model, choices, made.tiling, outcome, tuple(warnings))


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


def selector_of(bids: Mapping[str, tuple[Bid, ...]]) -> Selector:
    share, regret, count = quality(bids)
    return Selector(layers=count, best_share=share, regret=regret)


def budget_of(plan: Plan, market: Market, outcome: Outcome | None) -> ErrorBudget | None:
    if plan.max_error == 0:
        return None
    errors = [market.output_error(choice) for choice in plan.choices if is_lossy(choice)]
    return ErrorBudget(
        max_error=plan.max_error,
        predicted=math.hypot(*errors),
        measured=outcome.proof.relative if outcome else None,
    )


def signed(model: ir.Model, plan: Plan) -> ir.Model:
    """A copy of ``model`` that says who made it, and by which plan."""
    copy = model.clone()
    copy.producer_name = "sparsepass"
    copy.producer_version = plan.tool.removeprefix("sparsepass ")
    copy.metadata_props[PLAN_KEY] = plan.model_dump_json()
    return copy
