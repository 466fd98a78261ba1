"""Timing whole networks against each other, fairly."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

__all__ = ["Timing", "interleave", "orders"]

Run = Callable[[], object]

WARM_UP = 2
FEWEST_ROUNDS, MOST_ROUNDS = 7, 200


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
    See ``orders`` for the order.
    """
    for run in runs:
        for _ in range(WARM_UP):
            run()
    started = clock()
    for run in runs:
        run()
    one_round = max(clock() - started, 1e-6)
    rounds = int(np.clip(seconds / one_round, FEWEST_ROUNDS, MOST_ROUNDS))
    times: list[list[float]] = [[] for _ in runs]
    for done, order in enumerate(islice(orders(len(runs)), rounds)):
        for position in order:
            started = clock()
            runs[position]()
            times[position].append((clock() - started) * 1e3)
        progress(done + 1, rounds)
    return [summary(values) for values in times]


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
