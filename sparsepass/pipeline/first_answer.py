"""The time to the first answer: a session is made and runs once."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.trials import Candidate
from sparsepass.run import RunOptions
from sparsepass.runtime.session import session

__all__ = ["first_answer_ms", "first_answers_ms"]

# The first of each also loads what the process had not read yet.
TURNS = 2


def first_answers_ms(
    studied: Studied, candidate: Candidate, options: RunOptions
) -> tuple[float, float]:
    """Milliseconds of the original and of a candidate, the least of some turns."""
    feed = studied.held_out[0]
    before, after = studied.prepared.content, to_bytes(candidate.model)
    threads = options.threads
    turns = [
        (
            first_answer_ms(lambda: plain_session(before, threads=threads), feed),
            first_answer_ms(lambda: session(after, threads=threads, isa=options.isa), feed),
        )
        for _ in range(TURNS)
    ]
    return min(plain for plain, _ in turns), min(ours for _, ours in turns)


def first_answer_ms(
    make: Callable[[], onnxruntime.InferenceSession], feed: Mapping[str, NDArray[Any]]
) -> float:
    """Milliseconds from nothing to the outputs of ``feed``."""
    started = time.perf_counter()
    runner(make())(feed)
    return (time.perf_counter() - started) * 1e3
