"""Optimize generated networks and compare their outputs with the original's.

    python tests/fuzz/differential.py --count 10000

Every network runs with the library and without.  Prints what became of them; the exit status is 1
where outputs differ or an exception was no SparsepassError.
"""

import argparse
import logging
import math
import sys
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count as counted
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

sys.path.append(str(Path(__file__).parent))

from graphs import Generated, generate

from sparsepass import Result, SparsepassError, optimize
from sparsepass.model import to_bytes
from sparsepass.runtime import library_path
from sparsepass.runtime.ops import DOMAIN

EPSILON = float(np.finfo(np.float32).eps)
WITH_OURS, STANDARD, UNCHANGED = "with our ops", "with standard ops", "unchanged"
REFUSED, LEFT_OUT, DIFFERENT, UNCAUGHT = "refused", "left out", "different", "uncaught exception"
FAULTS = (DIFFERENT, UNCAUGHT)


@dataclass(frozen=True)
class Outcome:
    """What became of the network of a seed, and why."""

    seed: int
    kind: str
    reason: str = ""


def session(content: bytes, *, library: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if library:
        options.register_custom_ops_library(str(library_path()))
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def outcome_of(seed: int, threads: int = 1) -> Outcome:
    """Generate, optimize and compare."""
    generated = generate(seed)
    content = generated.model.SerializeToString()
    try:
        original = session(content, library=False)
        expected = [original.run(None, feed) for feed in generated.feeds]
    except Exception as error:
        return Outcome(seed, LEFT_OUT, f"ONNX Runtime: {type(error).__name__}")
    shapes = {name: array.shape for name, array in generated.feeds[0].items()}
    try:
        result = optimize(content, measure=False, shapes=shapes, threads=threads)
    except SparsepassError as error:
        return Outcome(seed, REFUSED, str(error))
    except Exception:
        return Outcome(seed, UNCAUGHT, traceback.format_exc())
    if difference := difference_of(generated, result, expected):
        return Outcome(seed, DIFFERENT, difference)
    return describe(seed, result)


def describe(seed: int, result: Result) -> Outcome:
    """The kind of a network whose outputs are right."""
    if any(node.domain == DOMAIN for node in result.model.graph.all_nodes()):
        return Outcome(seed, WITH_OURS)
    if any(choice.algorithm != "dense" for choice in result.plan.choices):
        return Outcome(seed, STANDARD)
    reasons = Counter(choice.reason for choice in result.plan.choices)
    reason = max(reasons, key=reasons.__getitem__) if reasons else "no layer has a constant weight"
    return Outcome(seed, UNCHANGED, reason)


def difference_of(
    generated: Generated, result: Result, expected: list[list[np.ndarray]]
) -> str | None:
    """What differs, with the library or without, or None."""
    content = to_bytes(result.model)
    for library in (True, False):
        name = "with the library" if library else "without the library"
        try:
            optimized = session(content, library=library)
            if names_of(optimized) != [output.name for output in generated.model.graph.output]:
                return f"{name}: outputs are named {names_of(optimized)}"
            for feed, outputs in zip(generated.feeds, expected, strict=True):
                actual = optimized.run(None, feed)
                for made, wanted in zip(actual, outputs, strict=True):
                    if reason := distance(made, wanted, terms_of(generated.model)):
                        return f"{name}, input {feed['x'].shape}: {reason}"
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
    return None


def names_of(opened: onnxruntime.InferenceSession) -> list[str]:
    return [value.name for value in opened.get_outputs()]


def terms_of(model: onnx.ModelProto) -> int:
    """How many weights an output value can meet, one after the other, three rounds of a loop."""
    return 3 * sum(math.prod(c.dims[1:]) for c in model.graph.initializer if len(c.dims) > 1) + len(
        model.graph.node
    )


def distance(made: np.ndarray, wanted: np.ndarray, terms: int) -> str | None:
    """Why two outputs are not the same but for rounding: one of the largest value for each term."""
    if made.shape != wanted.shape or made.dtype != wanted.dtype:
        return f"{made.dtype}{made.shape} instead of {wanted.dtype}{wanted.shape}"
    if not wanted.size:
        return None
    allowed = EPSILON * terms * max(float(np.abs(wanted).max()), 1.0)
    off = float(np.abs(made.astype(np.float64) - wanted).max())
    return None if off <= allowed else f"off by {off:.3g}, {allowed:.3g} are allowed"


def show(outcomes: Counter[str], reasons: Counter[tuple[str, str]]) -> None:
    """Print the counts, and the reasons of each kind."""
    print(f"{outcomes.total()} generated networks")
    for kind in (WITH_OURS, STANDARD, UNCHANGED, REFUSED, LEFT_OUT, *FAULTS):
        print(f"  {outcomes[kind]:6d} {kind}")
        listed = [(n, reason) for (of, reason), n in reasons.most_common() if of == kind and reason]
        for number, reason in listed[:10]:
            print(f"           {number:6d} {reason}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="networks to generate")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    seeds = range(given.first, given.first + given.count)
    with ProcessPoolExecutor(
        given.jobs, initializer=partial(logging.disable, logging.CRITICAL)
    ) as pool:
        for number, outcome in zip(counted(1), pool.map(outcome_of, seeds, chunksize=4)):
            outcomes[outcome.kind] += 1
            reasons[
                outcome.kind,
                outcome.reason.strip().splitlines()[-1][:150] if outcome.reason else "",
            ] += 1
            if outcome.kind in FAULTS:
                print(f"seed {outcome.seed}: {outcome.kind}: {outcome.reason}", flush=True)
            if number % 100 == 0:
                print(f"{number} of {given.count}", file=sys.stderr, flush=True)
    show(outcomes, reasons)
    return 1 if any(outcomes[kind] for kind in FAULTS) else 0


if __name__ == "__main__":
    sys.exit(main())
