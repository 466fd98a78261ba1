"""Timing whole networks against each other, fairly."""

import time
from collections.abc import Callable, Mapping
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
    runs: Mapping[str, Run],
    *,
    seconds: float = 3.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Timing]:
    """Time each of ``runs`` in turn, round after round, for about ``seconds`` in all.

    Drift of the machine hits all of them alike, so that ratios of the medians can be compared.
    The order of a round is reversed each time: each follows each other equally often.
    """
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    started = time.perf_counter()
    for run in runs.values():
        run()
    one_round = max(time.perf_counter() - started, 1e-6)
    rounds = int(np.clip(seconds / one_round, FEWEST_ROUNDS, MOST_ROUNDS))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for done in range(rounds):
        order = list(runs) if done % 2 == 0 else list(reversed(runs))
        for name in order:
            started = time.perf_counter()
            runs[name]()
            times[name].append((time.perf_counter() - started) * 1e3)
        progress(done + 1, rounds)
    return {name: summary(values) for name, values in times.items()}


def summary(milliseconds: list[float]) -> Timing:
    low, middle, high = np.percentile(milliseconds, (10, 50, 90))
    return Timing(float(middle), float(low), float(high), len(milliseconds))
