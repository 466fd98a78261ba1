"""What a user should know of an outcome."""

from sparsepass.pipeline.judging import too_few
from sparsepass.pipeline.search import Outcome
from sparsepass.pipeline.stages import Prepared, Studied
from sparsepass.pipeline.trials import Trials
from sparsepass.plan import PLAN_KEY, Plan

__all__ = ["AGAIN", "NOTHING", "constants_now", "warnings_of"]

# How the report begins to say why a network runs as before.
NOTHING = "nothing to optimize: "
AGAIN = "sparsepass wrote this file: its plan was made anew from the layers that it came from"


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
