"""Timing whole networks against each other, fairly."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice

import numpy as np

__all__ = ["Timing", "interleave", "low", "orders"]

Run = Callable[[], object]

WARM_UP = 2
FEWEST_ROUNDS, MOST_ROUNDS = 7, 200
# Additions that take longer while a neighbour has half of the core, and by how much they may.
PULSE_ADDITIONS = 1000
CALM = 1.25
# Neighbours on a machine only ever add time, in bursts: low times move least.  Of few turns this is
# the least one, of many a later one, because a least one of many is luck again.
LOW = 0.1


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one inference over ``runs`` runs."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int


def interleave(
    runs: Sequence[Run],
    *,
    seconds: float = 3.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time each of ``runs`` in turn, round after round, for about ``seconds`` in all.

    Drift of the machine hits all of them alike, so that ratios of the medians can be compared.
    See ``orders`` for the order.  Turns in which the core was shared with a neighbour do not count
    where there are enough others, see ``calm``; for these it takes up to twice ``seconds``.
    """
    for run in runs:
        for _ in range(WARM_UP):
            run()
    started = clock()
    for run in runs:
        run()
    one_round = max(clock() - started, 1e-6)
    rounds = int(np.clip(seconds / one_round, FEWEST_ROUNDS, MOST_ROUNDS))
    most = int(np.clip(2 * seconds / one_round, rounds, 2 * rounds))
    times: list[list[float]] = [[] for _ in runs]
    pulses: list[list[float]] = [[] for _ in runs]
    before = pulse(clock)
    for done, order in enumerate(islice(orders(len(runs)), most)):
        if done >= rounds and calm(pulses) is not None:
            break
        for position in order:
            started = clock()
            runs[position]()
            times[position].append((clock() - started) * 1e3)
            after = pulse(clock)
            pulses[position].append(max(before, after))
            before = after
        progress(min(done + 1, rounds), rounds)
    counted = calm(pulses) or [[True] * len(own) for own in times]
    return [summary(list(compress(own, which))) for own, which in zip(times, counted, strict=True)]


def low(times: Sequence[float]) -> float:
    """The time that decides: the lowest tenth of the turns reaches up to it."""
    return float(np.quantile(times, LOW, method="lower"))


def pulse(clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that some additions take, which say whether the core is shared at the moment.

    A neighbour on the other half of a core takes up to half of what it issues: additions take twice
    the time, ONNX Runtime's convolutions 1.2 times, lists of sparse weights 1.4 times.
    """
    started, total = clock(), 0
    for i in range(PULSE_ADDITIONS):
        total += i
    return clock() - started


def calm(pulses: Sequence[Sequence[float]]) -> list[list[bool]] | None:
    """Which turns of each run had the core alone; None where one of them has too few such turns.

    ``pulses`` are the slower of those before and after each turn.
    """
    limit = CALM * min(min(own) for own in pulses)
    which = [[pulse <= limit for pulse in own] for own in pulses]
    return which if all(sum(own) >= FEWEST_ROUNDS for own in which) else None


def orders(count: int) -> Iterator[list[int]]:
    """Orders of ``count`` runs, for one turn each: at random, the same every time.

    What ran before leaves its data in the caches.  So each run follows each other about equally
    often, and never itself.
    """
    rng, last = np.random.default_rng(0), -1
    while True:
        order = [int(position) for position in rng.permutation(count)]
        if order[0] == last:
            order.append(order.pop(0))
        last = order[-1]
        yield order


def summary(milliseconds: list[float]) -> Timing:
    low, middle, high = np.percentile(milliseconds, (10, 50, 90))
    return Timing(float(middle), float(low), float(high), len(milliseconds))
