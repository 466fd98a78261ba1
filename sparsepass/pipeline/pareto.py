"""Time against error for the whole network: plans for a ladder of budgets, from one calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparsepass.algorithms import DENSE
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.trials import Trials, Verified
from sparsepass.plan import Choice, is_lossy
from sparsepass.report.schema import ParetoPoint
from sparsepass.runtime.timing import Timing

__all__ = ["pareto_points"]

# Error budgets, from what few notice to what few can use.
LADDER = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
# Networks that are timed in turn with the original: the machine drifts, and each holds its weights.
AT_ONCE = 4


@dataclass(frozen=True)
class Rung:
    """The plan for a budget, and what was measured of it."""

    budget: float
    choices: tuple[Choice, ...]
    verified: Verified | None = None
    before: Timing | None = None
    after: Timing | None = None


def pareto_points(
    offers: Offers, taken: Sequence[Choice], budget: float, trials: Trials | None
) -> tuple[ParetoPoint, ...]:
    """Plans from the lossless one up, each once, with the one that was ``taken`` for ``budget``.

    Errors and times of whole networks are measured in ``trials``, times where the options say so.
    """
    rungs = [Rung(0.0, offers.choose(0.0) if budget else tuple(taken))]
    for step in sorted({*LADDER, budget} - {0.0}):
        choices = tuple(taken) if step == budget else offers.choose(step)
        if key(choices) != key(rungs[-1].choices):
            rungs.append(Rung(step, choices))
    if trials is not None:
        progress = offers.options.step("time against error")
        for first in range(0, len(rungs), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            rungs[part] = measured(rungs[part], trials, timed=offers.options.measured)
            progress(min(first + AT_ONCE, len(rungs)), len(rungs))
    return tuple(point_of(offers, rung, key(rung.choices) == key(taken)) for rung in rungs)


def key(choices: Sequence[Choice]) -> list[tuple[str, str, dict[str, int]]]:
    """What tells one plan from another."""
    return [(c.layer, c.algorithm, c.parameters) for c in choices if c.algorithm != DENSE.name]


def measured(rungs: Sequence[Rung], trials: Trials, *, timed: bool) -> list[Rung]:
    """``rungs`` with errors on held-out samples and, where ``timed``, times of the networks."""
    candidates = [trials.make(rung.choices) for rung in rungs]
    found = [
        replace(rung, verified=Verified(compared.within(1.0), compared.relative))
        for rung, compared in zip(rungs, map(trials.compare_all, candidates), strict=True)
    ]
    if not timed:
        return found
    before, timings = trials.time(candidates)
    return [
        replace(rung, before=before, after=after)
        for rung, after in zip(found, timings, strict=True)
    ]


def point_of(offers: Offers, rung: Rung, chosen: bool) -> ParetoPoint:
    before, after, verified = rung.before, rung.after, rung.verified
    return ParetoPoint(
        budget=rung.budget,
        lossy_layers=sum(map(is_lossy, rung.choices)),
        layers_us=sum(offers.offer(choice).microseconds for choice in rung.choices),
        error=offers.predicted_error(rung.choices),
        measured_error=verified.relative if verified else None,
        measured_ms=after.median_ms if after else None,
        speedup=before.median_ms / after.median_ms if before and after else None,
        answers=verified.verification.answers if verified else None,
        chosen=chosen,
    )
