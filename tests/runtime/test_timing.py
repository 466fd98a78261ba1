from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain, cycle, islice, pairwise, repeat

import pytest

from sparsepass.runtime.timing import FEWEST_ROUNDS, MOST_ROUNDS, WARM_UP, interleave, orders


class Clock:
    """A clock that runs only while something is being timed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.called: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.called.append(name)
            self.now += seconds

        return run


def test_each_run_has_its_own_times():
    clock = Clock()

    slow, fast = interleave([clock.work("slow", 0.02), clock.work("fast", 0.01)], clock=clock)

    assert slow.median_ms == pytest.approx(20)
    assert fast.p10_ms == pytest.approx(fast.p90_ms)
    assert fast.median_ms == pytest.approx(10)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_run_follows_every_other_about_equally_often_and_never_itself(count):
    every = [position for order in islice(orders(count), 1000) for position in order]
    followed = Counter(pairwise(every))

    assert all(times == 1000 for times in Counter(every).values())
    assert count == 1 or not any(one == next_one for one, next_one in followed)
    usual = len(every) / (count * max(1, count - 1))
    assert all(abs(times - usual) < 0.25 * usual for times in followed.values())


@pytest.mark.parametrize(
    ("seconds", "rounds"), [(0.0, FEWEST_ROUNDS), (0.5, 50), (1e9, MOST_ROUNDS)]
)
def test_rounds_fill_the_time_within_bounds(seconds, rounds):
    clock = Clock()

    (timing,) = interleave([clock.work("a", 0.01)], seconds=seconds, clock=clock)

    assert timing.runs == rounds


class SharedCore(Clock):
    """The clock of a core that a neighbour takes half of, in some turns."""

    def __init__(self, turns: Iterable[bool]) -> None:
        super().__init__()
        self.turns, self.shared = iter(turns), False

    def __call__(self) -> float:
        # Between two readings of a pulse its additions take place.
        self.now += 2e-6 if self.shared else 1e-6
        return self.now

    def run(self) -> None:
        self.shared = next(self.turns)
        self.now += 0.03 if self.shared else 0.01


def test_turns_with_a_neighbour_on_the_core_do_not_count():
    clock = SharedCore(cycle([False] * 3 + [True] * 3))

    (timing,) = interleave([clock.run], seconds=1, clock=clock)

    assert timing.p90_ms == pytest.approx(10, rel=0.01)
    assert FEWEST_ROUNDS <= timing.runs < 50


def test_where_a_neighbour_has_half_of_the_core_all_the_time_every_turn_counts():
    clock = SharedCore(chain([False] * 3, repeat(True)))

    (timing,) = interleave([clock.run], seconds=1, clock=clock)

    assert timing.median_ms == pytest.approx(30, rel=0.01)


def test_other_turns_are_not_waited_for_beyond_twice_the_time():
    turns: list[bool] = []

    def neighbours() -> Iterable[bool]:
        for shared in cycle([False, True]):
            turns.append(shared)
            yield shared

    clock = SharedCore(neighbours())

    interleave([clock.run], seconds=0.01, clock=clock)

    assert len(turns) == WARM_UP + 1 + FEWEST_ROUNDS


def test_progress_ends_at_the_number_of_rounds():
    clock, told = Clock(), []

    interleave([clock.work("a", 1)], progress=lambda *step: told.append(step), clock=clock)

    assert told[-1] == (FEWEST_ROUNDS, FEWEST_ROUNDS)
