"""Optimize generated networks and compare their outputs with the original's.

    python tests/fuzz/differential.py --count 10000

Every network is optimized, and rewritten with an algorithm at random for each layer, whether it is
fast or not; both run with the library and without.  Prints what became of them; the exit status is
1 where outputs differ or an exception was no SparsepassError.
"""

import argparse
import logging
import math
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

sys.path.append(str(Path(__file__).parent))

from graphs import Generated, generate

from sparsepass import SparsepassError, optimize
from sparsepass.algorithms import ALGORITHMS
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.study import study
from sparsepass.plan import Choice
from sparsepass.run import RunOptions
from sparsepass.runtime import library_path
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.replacements import refuse_opset

EPSILON = float(np.finfo(np.float32).eps)
# A node without weights rounds a value as often at most: a batch normalisation, folded or not.
MOST_ROUNDINGS = 8
WITH_OURS, FORCED, UNCHANGED = "optimized, with our ops", "rewritten at random", "unchanged"
REFUSED, LEFT_OUT, DIFFERENT, UNCAUGHT = "refused", "left out", "different", "uncaught exception"
FAULTS = (DIFFERENT, UNCAUGHT)
NO_LAYER = "no layer has a constant weight"

Check = Callable[[ir.Model], str | None]
"""What differs in a model, or None."""


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


def outcomes_of(seed: int) -> list[Outcome]:
    """Generate a network, optimize it, rewrite it at random, and compare both."""
    generated = generate(seed)
    content = generated.model.SerializeToString()
    try:
        original = session(content, library=False)
        expected = [original.run(None, feed) for feed in generated.feeds]
    except Exception as error:
        return [Outcome(seed, LEFT_OUT, f"ONNX Runtime: {type(error).__name__}")]
    check = partial(difference_of, generated, expected)
    return [
        guarded(seed, lambda: optimized(seed, generated, check)),
        guarded(seed, lambda: forced(seed, generated, check)),
    ]


def guarded(seed: int, make: Callable[[], Outcome]) -> Outcome:
    """What ``make`` returns, or what it raises."""
    try:
        return make()
    except SparsepassError as error:
        return Outcome(seed, REFUSED, str(error))
    except Exception:
        return Outcome(seed, UNCAUGHT, traceback.format_exc())


def optimized(seed: int, generated: Generated, check: Check) -> Outcome:
    """Optimize a network as users do, on predicted times."""
    content = generated.model.SerializeToString()
    result = optimize(content, measure=False, shapes=shapes_of(generated))
    if difference := check(result.model):
        return Outcome(seed, DIFFERENT, difference)
    if has_ours(result.model):
        return Outcome(seed, WITH_OURS)
    reasons = Counter(choice.reason for choice in result.plan.choices)
    reason = max(reasons, key=reasons.__getitem__) if reasons else NO_LAYER
    return Outcome(seed, UNCHANGED, reason)


def forced(seed: int, generated: Generated, check: Check) -> Outcome:
    """Give each layer one of the algorithms that can compute it exactly."""
    rng = random.Random(seed)
    samples = {name: np.concatenate([x, x]) for name, x in generated.feeds[0].items()}
    options = RunOptions(samples=samples, shapes=shapes_of(generated))
    studied = study(generated.model.SerializeToString(), options)
    if not isinstance(studied, Studied):
        return Outcome(seed, UNCHANGED, NO_LAYER)
    choices = [choice for layer in studied.layers if (choice := any_choice(layer, studied, rng))]
    if not choices:
        return Outcome(seed, UNCHANGED, NO_LAYER if not studied.layers else "no algorithm takes it")
    if difference := check(rewrite(studied, choices)):
        return Outcome(seed, DIFFERENT, f"forced {[c.algorithm for c in choices]}: {difference}")
    return Outcome(seed, FORCED)


def any_choice(layer: Layer, studied: Studied, rng: random.Random) -> Choice | None:
    """An algorithm with an op of its own, or None where there is none for the layer."""
    stats, opset = studied.stats[layer.name], studied.prepared.opset
    able = [
        row.name
        for row in ALGORITHMS
        if row.op and not row.refuse(layer, stats, studied.target) and not refuse_opset(row, opset)
    ]
    return Choice(layer=layer.name, algorithm=rng.choice(able)) if able else None


def shapes_of(generated: Generated) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in generated.feeds[0].items()}


def has_ours(model: ir.Model) -> bool:
    return any(node.domain == DOMAIN for node in model.graph.all_nodes())


def difference_of(
    generated: Generated, expected: list[list[np.ndarray]], model: ir.Model
) -> str | None:
    """What differs, with the library or without, or None."""
    content = to_bytes(model)
    for library in (True, False):
        name = "with the library" if library else "without the library"
        try:
            opened = session(content, library=library)
            if names_of(opened) != [output.name for output in generated.model.graph.output]:
                return f"{name}: outputs are named {names_of(opened)}"
            for feed, outputs in zip(generated.feeds, expected, strict=True):
                actual = opened.run(None, feed)
                for made, wanted in zip(actual, outputs, strict=True):
                    if reason := distance(made, wanted, terms_of(generated.model)):
                        return f"{name}, input {feed['x'].shape}: {reason}"
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
    return None


def names_of(opened: onnxruntime.InferenceSession) -> list[str]:
    return [value.name for value in opened.get_outputs()]


def terms_of(model: onnx.ModelProto) -> int:
    """How often an output value is rounded: for every weight on its way, and by every node.

    A loop goes round three times.
    """
    weights = [*model.graph.initializer, *constants_in(model.graph.node)]
    for function in model.functions:
        weights += constants_in(function.node)
    products = sum(math.prod(c.dims[1:]) for c in weights if len(c.dims) > 1)
    return 3 * products + MOST_ROUNDINGS * len(model.graph.node)


def constants_in(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """The tensors that nodes hold, and those of bodies."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("g"):
            yield from attribute.g.initializer
            yield from constants_in(attribute.g.node)


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
    for kind in (WITH_OURS, FORCED, UNCHANGED, REFUSED, LEFT_OUT, *FAULTS):
        print(f"  {outcomes[kind]:6d} {kind}")
        listed = [(n, reason) for (of, reason), n in reasons.most_common() if of == kind and reason]
        for number, reason in listed[:10]:
            print(f"           {number:6d} {reason}")


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:150]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="networks to generate")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    seeds = range(given.first, given.first + given.count)
    quiet = partial(logging.disable, logging.CRITICAL)
    with ProcessPoolExecutor(given.jobs, initializer=quiet) as pool:
        for number, made in enumerate(pool.map(outcomes_of, seeds, chunksize=4), 1):
            for outcome in made:
                outcomes[outcome.kind] += 1
                reasons[outcome.kind, last_line(outcome.reason)] += 1
                if outcome.kind in FAULTS:
                    print(f"seed {outcome.seed}: {outcome.kind}: {outcome.reason}", flush=True)
            if number % 100 == 0:
                print(f"{number} of {given.count}", file=sys.stderr, flush=True)
    print(f"{given.count} generated networks, optimized and rewritten at random")
    show(outcomes, reasons)
    return 1 if any(outcomes[kind] for kind in FAULTS) else 0


if __name__ == "__main__":
    sys.exit(main())
