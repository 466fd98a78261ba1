"""Timing whole networks against each other, fairly."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "interleave"]

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
    The order is reversed every other round: each follows each other equally often.
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
    forward = list(range(len(runs)))
    for done in range(rounds):
        for position in forward if done % 2 == 0 else forward[::-1]:
            started = clock()
            runs[position]()
            times[position].append((clock() - started) * 1e3)
        progress(done + 1, rounds)
    return [summary(values) for values in times]


def summary(milliseconds: list[float]) -> Timing:
    low, middle, high = np.percentile(milliseconds, (10, 50, 90))
    return Timing(float(middle), float(low), float(high), len(milliseconds))
