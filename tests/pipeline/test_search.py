"""The search over plans, against a tester whose networks are numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from sparsepass.errors import ModelError
from sparsepass.pipeline.search import DIFFERED, EXCEEDED, SLOWER, Outcome, search
from sparsepass.pipeline.trials import Candidate, Verified
from sparsepass.plan import Answer, Choice, Offer
from sparsepass.report.schema import Verification
from sparsepass.runtime.timing import Timing


def candidate(*choices: Choice) -> Candidate:
    return Candidate(choices, cast(Any, None), 0, lambda feed: {})


def timing(milliseconds: float) -> Timing:
    return Timing(milliseconds, milliseconds, milliseconds, 10)


@dataclass
class Networks:
    """A tester: 10 ms at first, less what each layer of a plan saves; layers may spoil outputs.

    In the first ``disturbed`` timings a neighbour takes half of the turns of all candidates.
    """

    saves: Mapping[str, float]
    wrong: frozenset[str] = frozenset()
    errors: Mapping[str, float] = field(default_factory=dict)
    max_error: float = 0.0
    clean: float = 10.0
    broken: bool = False
    disturbed: int = 0
    original: Candidate = field(default_factory=candidate)
    made: list[tuple[str, ...]] = field(default_factory=list)

    def make(self, choices: Sequence[Choice]) -> Candidate:
        self.made.append(tuple(choice.layer for choice in choices))
        return candidate(*choices)

    def verify(self, tried: Candidate) -> Verified:
        error = sum(self.errors.get(choice.layer, 0.0) for choice in tried.choices)
        spoilt = self.broken or bool(self.wrong & {choice.layer for choice in tried.choices})
        found = Verification(
            max_absolute_error=1.0 if spoilt else error,
            max_relative_error=error,
            tolerance=self.max_error,
            derivation="by hand",
            samples=1,
        )
        return Verified(found, error)

    def time(self, candidates: Sequence[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        times = tuple(timing(self.milliseconds(tried)) for tried in candidates)
        if self.disturbed:
            self.disturbed -= 1
            times = tuple(replace(one, median_ms=20.0) for one in times)
        return timing(10.0), times

    def milliseconds(self, tried: Candidate) -> float:
        return self.clean - sum(self.saves.get(choice.layer, 0.0) for choice in tried.choices)


def spmm(*layers: str) -> tuple[Choice, ...]:
    return tuple(Choice(layer=layer, algorithm="spmm") for layer in layers)


def low_rank(layer: str) -> Choice:
    return Choice(layer=layer, algorithm="low-rank", parameters={"rank": 8})


def answers(**saved: float) -> dict[str, tuple[Answer, ...]]:
    """Dense at 100 us and spmm at that less what it saves, a layer each."""
    return {
        layer: (
            Offer(algorithm="dense", predicted=100.0),
            Offer(algorithm="spmm", predicted=100.0 - gain),
        )
        for layer, gain in saved.items()
    }


def found(
    tester: Networks, choices: tuple[Choice, ...], offers: dict[str, tuple[Answer, ...]], **options
) -> Outcome:
    return search(lambda budget: choices, offers, tester, max_error=tester.max_error, **options)


def layers_of(outcome: Outcome) -> set[str]:
    return {choice.layer for choice in outcome.candidate.choices}


def test_a_plan_that_wins_is_kept():
    outcome = found(Networks({"a": 2, "b": 3}), spmm("a", "b"), answers(a=20, b=30))

    assert layers_of(outcome) == {"a", "b"}
    assert (outcome.before.median_ms, outcome.after.median_ms) == (10, 5)
    assert outcome.fates == {}


@pytest.mark.parametrize(("saved", "taken"), [(2, {"a"}), (-2, set())])
def test_beside_an_empty_plan_exact_rivals_are_tried(saved, taken):
    outcome = found(Networks({"a": saved}), (), answers(a=-20), rivals=[spmm("a")])

    assert layers_of(outcome) == taken


def test_where_nothing_is_timed_the_first_plan_that_is_right_is_taken():
    tester = Networks({"a": -2, "b": 3}, wrong=frozenset("b"))
    tester.time = cast(Any, None)

    right, wrong = (
        found(tester, spmm(layer), answers(a=20, b=30), timed=False) for layer in ("a", "b")
    )

    assert layers_of(right) == {"a"}
    assert (right.before, right.after) == (None, None)
    assert layers_of(wrong) == set()
    assert wrong.fates == {"b": DIFFERED}


def test_a_plan_whose_median_was_disturbed_is_timed_once_more():
    tester = Networks({"a": 2, "b": 3}, disturbed=1)

    outcome = found(tester, spmm("a", "b"), answers(a=20, b=30))

    assert layers_of(outcome) == {"a", "b"}
    assert outcome.after.median_ms == 5


def test_a_plan_whose_median_never_wins_is_given_up():
    tester = Networks({"a": 2}, disturbed=2)

    outcome = found(tester, spmm("a"), answers(a=20))

    assert outcome.fates == {"a": SLOWER}


def test_layers_that_gain_least_return_to_dense_until_the_network_is_faster():
    tester = Networks({"a": 2, "b": -1, "c": -1, "d": -1})

    outcome = found(tester, spmm("a", "b", "c", "d"), answers(a=40, b=30, c=20, d=10))

    assert layers_of(outcome) == {"a", "b"}
    assert outcome.fates == {"c": SLOWER, "d": SLOWER}


def test_where_nothing_wins_the_clean_network_is_the_answer():
    outcome = found(Networks({"a": -2, "b": -3}, clean=9), spmm("a", "b"), answers(a=20, b=30))

    assert layers_of(outcome) == set()
    assert outcome.after.median_ms == 9
    assert not outcome.untouched
    assert outcome.fates == {"a": SLOWER, "b": SLOWER}


def test_a_plan_that_loses_against_the_clean_network_is_not_kept():
    outcome = found(Networks({"a": -1}, clean=8), spmm("a"), answers(a=20))

    assert layers_of(outcome) == set()


def test_where_even_the_clean_network_is_slower_the_original_is_kept_as_it_is():
    tester = Networks({}, clean=12)

    outcome = found(tester, (), {})

    assert outcome.untouched
    assert outcome.candidate is tester.original
    assert outcome.before == outcome.after


def test_a_clean_network_within_noise_is_preferred_to_the_original():
    assert not found(Networks({}, clean=10.05), (), {}).untouched


def test_dense_choices_are_no_change():
    tester = Networks({"a": 3})

    outcome = found(tester, (Choice(layer="a", algorithm="dense"),), answers(a=-100))

    assert layers_of(outcome) == set()
    assert tester.made == [()]


def test_layers_with_wrong_outputs_return_to_dense():
    tester = Networks({"a": 3, "b": 3}, wrong=frozenset("b"))

    outcome = found(tester, spmm("a", "b"), answers(a=30, b=30))

    assert layers_of(outcome) == set()
    assert outcome.fates == {"a": DIFFERED, "b": DIFFERED}


def test_the_riskiest_layers_leave_first():
    tester = Networks({"a": 3, "b": 3}, errors={"b": 0.5}, max_error=0.1)

    outcome = found(tester, (*spmm("a"), low_rank("b")), answers(a=30, b=30), replayed=True)

    assert layers_of(outcome) == {"a"}
    assert outcome.fates == {"b": EXCEEDED}


def test_a_lossy_plan_beyond_the_budget_is_made_again_for_less():
    tester = Networks({"a": 3, "b": 3}, errors={"a": 0.06, "b": 0.06}, max_error=0.1)
    budgets: list[float] = []

    def choose(budget: float) -> tuple[Choice, ...]:
        budgets.append(budget)
        return (low_rank("a"), low_rank("b")) if budget > 0.07 else (low_rank("a"),)

    outcome = search(choose, answers(a=-100, b=-100), tester, max_error=0.1)

    # A secant step: 0.12 was measured where 0.1 is allowed.
    assert budgets[:2] == pytest.approx([0.1, 0.1 * 0.97 / 1.2])
    assert layers_of(outcome) == {"a"}
    assert outcome.fates == {"b": EXCEEDED}


def test_a_lossy_plan_that_never_fits_ends():
    tester = Networks({"a": 3}, errors={"a": 1.0}, max_error=0.1)

    outcome = found(tester, (low_rank("a"),), answers(a=-100))

    assert layers_of(outcome) == set()


def test_fair_offers_beside_a_plan_are_tried_with_it():
    tester = Networks({"a": 1, "b": 2})

    outcome = found(tester, spmm("a"), answers(a=30, b=-40))

    assert tester.made == [(), ("a",), ("a", "b")]
    assert layers_of(outcome) == {"a", "b"}
    assert "layout" in outcome.candidate.choices[1].reason


def test_poor_offers_beside_a_plan_are_not_tried():
    tester = Networks({"a": 1})

    found(tester, spmm("a"), answers(a=30, b=-60))

    assert tester.made == [(), ("a",)]


def test_a_plan_that_was_chosen_in_another_way_wins_where_it_is_faster():
    tester = Networks({"a": 1.0, "b": 3.0})

    result = found(tester, spmm("a"), answers(a=50, b=-60), rivals=[spmm("b"), spmm("a")])

    assert layers_of(result) == {"b"}
    assert tester.made.count(("a",)) == 1


def test_of_plans_within_noise_the_first_is_kept():
    tester = Networks({"a": 1.0, "b": 1.05})

    result = found(tester, spmm("a"), answers(a=50, b=-60), rivals=[spmm("b")])

    assert layers_of(result) == {"a"}


def test_a_lossy_plan_that_buys_no_time_is_not_kept():
    tester = Networks({"a": 3.0, "b": 3.05}, errors={"b": 0.05}, max_error=0.1)

    def choose(budget: float) -> tuple[Choice, ...]:
        return (low_rank("b"),) if budget > 0 else spmm("a")

    result = search(choose, answers(a=-60, b=-60), tester, max_error=0.1)
    untimed = search(choose, answers(a=-60, b=-60), tester, max_error=0.1, timed=False)

    assert layers_of(result) == {"a"}
    assert layers_of(untimed) == {"b"}


def test_a_replayed_plan_gets_no_layers_that_it_does_not_name():
    tester = Networks({"a": 1, "b": 2})

    outcome = found(tester, spmm("a"), answers(a=30, b=20), replayed=True)

    assert layers_of(outcome) == {"a"}


def test_a_replayed_plan_that_loses_says_so():
    outcome = found(Networks({"a": -1}), spmm("a"), answers(a=30), replayed=True)

    assert outcome.fates == {"a": SLOWER}


def test_an_original_that_differs_from_itself_is_an_error():
    with pytest.raises(ModelError, match="random"):
        found(Networks({}, broken=True), (), {})
