"""Plans carried out: chosen or replayed, made, verified, timed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from sparsepass.algorithms import DENSE
from sparsepass.bits import Bits
from sparsepass.errors import PlanError
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.pareto import pareto_points
from sparsepass.pipeline.rewrite import check_choices
from sparsepass.pipeline.search import Outcome, active, search
from sparsepass.pipeline.stages import Studied, Unproven
from sparsepass.pipeline.tiling import check_tiling, tile
from sparsepass.pipeline.trials import Trials, open_trials
from sparsepass.pipeline.warnings import warnings_of
from sparsepass.plan import Choice, Plan, Tiling, changes_outputs
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.report.schema import ParetoPoint
from sparsepass.run import RunOptions
from sparsepass.tool import tool_name

__all__ = ["Made", "carry_out", "check_plan", "error_of", "plan_of"]

# Errors on other samples than those of a fit are within about this factor.
SLACK = 1.2
# Shares of the weights that 8 bits may hold where 4 were asked for: the first within the limits.
FINER = (1 / 4, 1 / 2, 2 / 3, 9 / 10)


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
