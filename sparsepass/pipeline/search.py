"""From bids to the plan that verification accepts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sparsepass.algorithms import DENSE, Lowering, algorithm
from sparsepass.pipeline.prove import (
    Candidate,
    Run,
    check_outputs,
    is_lossy,
    make_candidate,
    time_against,
)
from sparsepass.pipeline.stages import Progress, Studied
from sparsepass.plan import Bid, Choice, Offer
from sparsepass.report.schema import Verification
from sparsepass.runtime.timing import Timing

__all__ = ["Outcome", "search"]

Bids = Mapping[str, tuple[Bid, ...]]
Choose = Callable[[float], tuple[Choice, ...]]

# A plan has to beat the original by this much: what two timings of one network differ by.
LEAST_GAIN = 0.01
# A lossy plan that misses the budget on held-out samples is made again for less.
TIGHTER = 0.8
MOST_ROUNDS = 8


@dataclass(frozen=True)
class Outcome:
    """The accepted plan, its proof, and why layers left the first one."""

    candidate: Candidate
    verification: Verification
    before: Timing
    after: Timing
    output_error: float
    fates: Mapping[str, str]


def search(
    studied: Studied,
    original: Run,
    choose: Choose,
    bids: Bids,
    *,
    threads: int,
    max_error: float,
    progress: Progress,
) -> Outcome:
    """Find the fastest plan whose outputs are right and which beats the original.

    ``choose`` makes the plan for an error budget.  The best plan on paper and its neighbours are
    timed as whole networks; where none wins, the layers with the least gain return to dense, by
    halves, until one does or none is left.
    """
    fates: dict[str, str] = {}
    budget = max_error
    choices = active(choose(budget))
    for _ in range(MOST_ROUNDS):
        candidates = [
            make_candidate(studied, variant, threads) for variant in variants(choices, bids)
        ]
        checked = [
            (candidate, *check_outputs(studied, original, candidate, max_error, progress))
            for candidate in candidates
        ]
        right = [entry for entry in checked if entry[2].passed]
        if not right:
            wrong = checked[0][0].choices
            if any(is_lossy(choice) for choice in wrong) and budget > max_error / 4:
                budget *= TIGHTER
                choices = active(choose(budget))
                continue
            choices = without_lossy(wrong) if any(map(is_lossy, wrong)) else ()
            fates |= {c.layer: "returned to dense: outputs differed" for c in wrong}
            fates = {name: fate for name, fate in fates.items() if name not in names(choices)}
            if wrong:
                continue
        before, timings = time_against(
            original, [entry[0] for entry in right], studied.held_out[0], progress
        )
        best = min(range(len(right)), key=lambda i: timings[i].median_ms)
        candidate, compared, verification = right[best]
        gain = 1 - timings[best].median_ms / before.median_ms
        if gain > LEAST_GAIN or not candidate.choices:
            return Outcome(candidate, verification, before, timings[best], compared.relative, fates)
        kept = better_half(candidate.choices, bids)
        fates |= {
            name: "returned to dense: the whole network was not faster"
            for name in names(candidate.choices) - names(kept)
        }
        choices = kept
    return empty(studied, original, threads, fates, progress)


def empty(
    studied: Studied, original: Run, threads: int, fates: Mapping[str, str], progress: Progress
) -> Outcome:
    """The clean dense network; a good answer where nothing wins."""
    candidate = make_candidate(studied, (), threads)
    compared, verification = check_outputs(studied, original, candidate, 0.0, progress)
    before, (after,) = time_against(original, [candidate], studied.held_out[0], progress)
    return Outcome(candidate, verification, before, after, compared.relative, fates)


def active(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that change something."""
    return tuple(choice for choice in choices if choice.algorithm != DENSE.name)


def names(choices: Iterable[Choice]) -> set[str]:
    return {choice.layer for choice in choices}


def without_lossy(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    return tuple(choice for choice in choices if not is_lossy(choice))


def variants(choices: tuple[Choice, ...], bids: Bids) -> list[tuple[Choice, ...]]:
    """The plan itself, and the plan with every layer in a custom op that is offered one.

    What a layout change really costs shows only in the whole network: the second one has the fewest.
    """
    chosen = {choice.layer: choice for choice in choices}
    if not chosen:
        return [()]
    everywhere: list[Choice] = []
    for name, layer_bids in bids.items():
        if name in chosen:
            everywhere.append(chosen[name])
            continue
        offers = [bid for bid in layer_bids if isinstance(bid, Offer) and is_custom(bid)]
        if offers:
            offer = min(offers, key=lambda o: o.microseconds)
            dense = next(
                b for b in layer_bids if isinstance(b, Offer) and b.algorithm == DENSE.name
            )
            if offer.microseconds < 1.5 * dense.microseconds:
                everywhere.append(choice_of(name, offer))
    plans = [choices, tuple(everywhere)]
    return plans if names(plans[0]) != names(plans[1]) else plans[:1]


def is_custom(offer: Offer) -> bool:
    row = algorithm(offer.algorithm)
    return row is not None and row.lowering is Lowering.CUSTOM_OP and row.numerics != "lossy"


def choice_of(name: str, offer: Offer) -> Choice:
    return Choice(
        layer=name,
        algorithm=offer.algorithm,
        parameters=offer.parameters,
        reason="saves layout changes between its neighbours",
    )


def better_half(choices: Sequence[Choice], bids: Bids) -> tuple[Choice, ...]:
    """The half of the choices, rounded down, that gains most over dense."""
    ranked = sorted(choices, key=lambda choice: -gain_of(choice, bids[choice.layer]))
    kept = names(ranked[: len(ranked) // 2])
    return tuple(choice for choice in choices if choice.layer in kept)


def gain_of(choice: Choice, bids: Sequence[Bid]) -> float:
    """Microseconds saved against dense."""
    times = {
        (bid.algorithm, tuple(bid.parameters.items())): bid.microseconds
        for bid in bids
        if isinstance(bid, Offer)
    }
    dense = times[DENSE.name, ()]
    return dense - times.get((choice.algorithm, tuple(choice.parameters.items())), dense)
