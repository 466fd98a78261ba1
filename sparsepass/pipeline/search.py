"""From offers to a plan whose outputs are right and which is faster: outputs first, then time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sparsepass.algorithms import DENSE
from sparsepass.errors import ModelError
from sparsepass.pipeline.budget import Fitted, fit
from sparsepass.pipeline.trials import Candidate, Verified
from sparsepass.pipeline.turns import Key, key_of
from sparsepass.plan import Answer, Choice, Offer, is_custom, is_lossy, numerics_of, offered
from sparsepass.runtime.timing import Timing

__all__ = ["Outcome", "Tester", "active", "search"]

Answers = Mapping[str, tuple[Answer, ...]]
Choose = Callable[[float], tuple[Choice, ...]]
Passed = tuple[Candidate, Verified]

# A plan has to beat the original by this share: two timings of one network differ by as much.
LEAST_GAIN = 0.01
# Where only the low times say that it does, a busy machine may have hidden it: timed once more.
MOST_TIMINGS = 2
# An extended plan takes custom ops that are at most this many times as slow as the dense layer.
CLOSE = 1.5
# The kinds of algorithms to drop first where outputs differ.
RISKIEST = ("lossy", "bounded", "rounding")

EXCEEDED = "returned to dense: the error exceeded the budget"
DIFFERED = "returned to dense: outputs differed"
SLOWER = "returned to dense: the whole network was not faster"


class Tester(Protocol):
    """Carries plans out, verifies them and times them; see ``trials.Trials``."""

    @property
    def original(self) -> Candidate:
        """The network as it came."""
        ...

    def make(self, choices: Sequence[Choice]) -> Candidate:
        """The network that ``choices`` describe; the clean dense one for none."""
        ...

    def verify(self, candidate: Candidate) -> Verified:
        """Compare outputs with the original's."""
        ...

    def time(self, candidates: Sequence[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        """Time the original and the candidates in turn."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The accepted candidate, how it was verified, and why layers left the first plan.

    ``untouched`` says that nothing was better than the original file itself.  ``fitted`` is what
    was found of the error budget, where there is one.  There are no times where the plan is for
    another machine.
    """

    candidate: Candidate
    verified: Verified
    before: Timing | None
    after: Timing | None
    fates: Mapping[str, str]
    untouched: bool = False
    fitted: Fitted | None = None


def search(
    choose: Choose,
    answers: Answers,
    tester: Tester,
    *,
    max_error: float,
    replayed: bool = False,
    extended: bool = True,
    timed: bool = True,
    rivals: Sequence[tuple[Choice, ...]] = (),
) -> Outcome:
    """Find the fastest plan whose outputs are right and which beats the original.

    ``choose`` makes the plan for an error budget.  With a ``max_error``, what the first plan is
    made for, the budget is fitted to what is measured, see ``budget.fit``.  The plan is timed
    together with the original and the clean dense network.  Where it is not the fastest, the half
    of its layers that gains least returns to dense, and so on until it is the fastest or no layer
    is left.  Then the result is the clean network, or the original where the clean network is
    slower or has other outputs.

    ``extended`` tries other plans beside the first one: see ``variants``, and ``rivals``, exact
    plans that were chosen in other ways.  A ``replayed`` plan is neither extended nor chosen again
    for another budget.  Where nothing is ``timed``, the first plan whose outputs are right is
    taken.
    """
    extended = extended and timed and not replayed
    return Search(choose, answers, tester, max_error, replayed, extended, timed, rivals).run()


@dataclass
class Search:
    """The state of a search: what was made so far, and the fates of layers."""

    choose: Choose
    answers: Answers
    tester: Tester
    max_error: float
    replayed: bool
    extended: bool
    timed: bool = True
    rivals: Sequence[tuple[Choice, ...]] = ()
    fates: dict[str, str] = field(default_factory=dict[str, str])
    fitted: Fitted | None = None
    kept: Passed | None = None

    def run(self) -> Outcome:
        """Return layers to dense until a plan is right and fast, or none is left."""
        clean = self.passing(())
        choices = self.first_plan()
        plans = variants(choices, self.answers) if self.extended and choices else [choices]
        for rival in self.rivals if self.extended else ():
            if doing(rival) not in map(doing, plans):
                plans.append(rival)
        if self.fitted and self.fitted.best:
            # An error has to buy time.
            plans.append(active(self.choose(0.0)))
        while plans := [plan for plan in plans if plan]:
            result = self.attempt(plans, clean)
            if isinstance(result, Outcome):
                return result
            kept = self.less(choices, result)
            self.leave(choices, kept, result)
            choices = kept
            plans = [choices]
        return self.without_plan(clean)

    def first_plan(self) -> tuple[Choice, ...]:
        """The plan whose measured error comes nearest to what is allowed."""
        if self.replayed or self.max_error == 0:
            return active(self.choose(self.max_error))
        self.fitted = fit(
            lambda budget: active(self.choose(budget)), self.verified, first=self.max_error
        )
        best = self.fitted.best
        choices = best.choices if best else active(self.choose(0.0))
        self.leave(self.fitted.tried[0].choices, choices, EXCEEDED)
        return choices

    def leave(self, before: Sequence[Choice], after: Sequence[Choice], fate: str) -> None:
        """Note what became of the layers that are no longer in the plan."""
        for name in names(before) - names(after):
            self.fates.setdefault(name, fate)

    def verified(self, choices: Sequence[Choice]) -> Verified:
        """What verification finds of a plan; the last one that passes is kept, and is the best."""
        candidate = self.tester.make(choices)
        verified = self.tester.verify(candidate)
        if verified.passed:
            self.kept = candidate, verified
        return verified

    def attempt(self, plans: Sequence[tuple[Choice, ...]], clean: Passed | None) -> Outcome | str:
        """The outcome of the fastest of ``plans``, or why none of them is accepted."""
        found = [entry for entry in map(self.passing, plans) if entry is not None]
        if not found:
            return EXCEEDED if any(map(is_lossy, plans[0])) else DIFFERED
        if not self.timed:
            return self.outcome(*found[0], None, None)
        # An error has to buy time: plans with one come last, and have to beat those without.
        found.sort(key=lambda entry: any(map(is_lossy, entry[0].choices)))
        candidates = [candidate for candidate, _ in (*found, *([clean] if clean else []))]
        for _ in range(MOST_TIMINGS):
            before, timings = self.tester.time(candidates)
            best = fastest(timings[: len(found)])
            rivals = (before, *timings[len(found) :])
            if all(faster(timings[best], rival) for rival in rivals):
                return self.outcome(*found[best], before, timings[best])
            if not all(low_is_faster(timings[best], rival) for rival in rivals):
                break
        return SLOWER

    def less(self, choices: tuple[Choice, ...], fate: str) -> tuple[Choice, ...]:
        """The choices to try next: half of them where too slow, else without the riskiest kind."""
        if fate == SLOWER:
            return better_half(choices, self.answers)
        kinds = {numerics_of(choice) for choice in choices}
        worst = next((kind for kind in RISKIEST if kind in kinds), None)
        return tuple(choice for choice in choices if worst and numerics_of(choice) != worst)

    def passing(self, choices: Sequence[Choice]) -> Passed | None:
        """The candidate of ``choices`` where its outputs are right, else None."""
        if self.kept and self.kept[0].choices == tuple(choices):
            return self.kept
        candidate = self.tester.make(choices)
        verified = self.tester.verify(candidate)
        return (candidate, verified) if verified.passed else None

    def without_plan(self, clean: Passed | None) -> Outcome:
        """The clean dense network, or the original where that is better."""
        original = self.tester.original
        if clean is not None and not self.timed:
            return self.outcome(*clean, None, None)
        if clean is not None:
            before, (after,) = self.tester.time([clean[0]])
            if not faster(before, after):
                return self.outcome(*clean, before, after)
        verified = self.tester.verify(original)
        if not verified.passed:
            raise ModelError(
                "it gives other outputs each time it runs; replace its random numbers first"
            )
        before = self.tester.time([])[0] if self.timed else None
        return Outcome(original, verified, before, before, self.fates, True, self.fitted)

    def outcome(
        self,
        candidate: Candidate,
        verified: Verified,
        before: Timing | None,
        after: Timing | None,
    ) -> Outcome:
        changed = names(candidate.choices)
        fates = {name: fate for name, fate in self.fates.items() if name not in changed}
        return Outcome(candidate, verified, before, after, fates, fitted=self.fitted)


def fastest(timings: Sequence[Timing]) -> int:
    """The first network that no later one beats by more than noise.

    The first plan stands on the times of every layer, which tell more than a few of the network.
    """
    best = 0
    for i, timing in enumerate(timings):
        if faster(timing, timings[best]):
            best = i
    return best


def faster(one: Timing, other: Timing) -> bool:
    """Tell whether a network is faster by more than noise, which changes the shortest times least.

    Both the median and the 10th percentile have to be.
    """
    median_is_faster = one.median_ms < (1 - LEAST_GAIN) * other.median_ms
    return median_is_faster and low_is_faster(one, other)


def low_is_faster(one: Timing, other: Timing) -> bool:
    return one.p10_ms < (1 - LEAST_GAIN) * other.p10_ms


def active(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that change something."""
    return tuple(choice for choice in choices if choice.algorithm != DENSE.name)


def doing(choices: Iterable[Choice]) -> frozenset[Key]:
    """What a plan does, in whatever order and for whatever reasons."""
    return frozenset(key_of(choice.layer, choice) for choice in choices)


def names(choices: Iterable[Choice]) -> set[str]:
    return {choice.layer for choice in choices}


def variants(choices: tuple[Choice, ...], answers: Answers) -> list[tuple[Choice, ...]]:
    """The plan itself, and the plan extended by every other layer that has a ``close_offer``.

    The extended plan has fewer layout changes, whose cost shows only in the whole network.
    """
    chosen = names(choices)
    added = [
        Choice(
            layer=name,
            algorithm=offer.algorithm,
            parameters=offer.parameters,
            reason="saves layout changes between its neighbours",
        )
        for name, layer_answers in answers.items()
        if name not in chosen and (offer := close_offer(layer_answers)) is not None
    ]
    return [choices, (*choices, *added)] if added else [choices]


def close_offer(answers: Sequence[Answer]) -> Offer | None:
    """The fastest exact offer of a custom op, if it is not much slower than dense."""
    offers = [answer for answer in answers if isinstance(answer, Offer)]
    dense = next(offer for offer in offers if offer.algorithm == DENSE.name)
    exact = [offer for offer in offers if is_custom(offer) and not is_lossy(offer)]
    custom = [offer for offer in exact if offer.microseconds < CLOSE * dense.microseconds]
    return min(custom, key=lambda offer: offer.microseconds, default=None)


def better_half(choices: Sequence[Choice], answers: Answers) -> tuple[Choice, ...]:
    """The half of the choices, rounded down, that gains most over dense."""
    ranked = sorted(choices, key=lambda choice: -gain_of(choice, answers[choice.layer]))
    kept = names(ranked[: len(ranked) // 2])
    return tuple(choice for choice in choices if choice.layer in kept)


def gain_of(choice: Choice, answers: Sequence[Answer]) -> float:
    """Microseconds saved against dense; 0 for a choice that was not offered."""
    offers = [answer for answer in answers if isinstance(answer, Offer)]
    dense = next(offer for offer in offers if offer.algorithm == DENSE.name)
    taken = offered(choice, offers) or dense
    return dense.microseconds - taken.microseconds
