"""Whether a plan keeps its promises: outputs first, then time, both against the original."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.algorithms import algorithm
from sparsepass.errors import VerificationError
from sparsepass.model import to_bytes
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Progress, Studied, step
from sparsepass.plan import Choice
from sparsepass.report.schema import Verification
from sparsepass.runtime.session import plain_session, session
from sparsepass.runtime.timing import Timing, interleave
from sparsepass.verify import Comparison, compare, rounding_tolerance

__all__ = ["Candidate", "check_outputs", "is_lossy", "make_candidate", "time_against", "verify"]

Run = Callable[[Mapping[str, Any]], Mapping[str, NDArray[Any]]]

DERIVATION = "8 eps * sum over layers of sqrt(terms + 1), times the largest output"
LOSSY_DERIVATION = "the error budget, relative to the outputs' energy"


@dataclass(frozen=True)
class Candidate:
    """A plan made real: its choices, the network, and a run of it with the op library."""

    choices: tuple[Choice, ...]
    model: ir.Model
    content: bytes
    run: Run


def runner(opened: Any) -> Run:
    """A session as a function from feeds to named outputs."""
    names = [value.name for value in opened.get_outputs()]
    fed = {value.name for value in opened.get_inputs()}

    def run(feed: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
        taken = {name: value for name, value in feed.items() if name in fed}
        return dict(zip(names, opened.run(names, taken), strict=True))

    return run


def plain_run(content: bytes, threads: int) -> Run:
    """Run a model in ONNX Runtime without our library."""
    return runner(plain_session(content, threads=threads))


def make_candidate(studied: Studied, choices: Sequence[Choice], threads: int) -> Candidate:
    """Rewrite the network as ``choices`` say and open it; an empty plan gives the clean network."""
    model = rewrite(studied.prepared, studied.layers, studied.stats, choices)
    content = to_bytes(model)
    return Candidate(tuple(choices), model, content, runner(session(content, threads=threads)))


def is_lossy(choice: Choice) -> bool:
    """Whether the choice may change outputs beyond rounding."""
    row = algorithm(choice.algorithm)
    return row is not None and row.numerics == "lossy"


def check_outputs(
    studied: Studied, original: Run, candidate: Candidate, max_error: float, progress: Progress
) -> tuple[Comparison, Verification]:
    """Compare a candidate with the original on the held-out samples."""
    compared = compare(
        original, candidate.run, studied.held_out, step(progress, "comparing outputs")
    )
    if any(is_lossy(choice) for choice in candidate.choices):
        found = Verification(
            max_absolute_error=compared.relative,
            max_relative_error=compared.relative,
            tolerance=max_error,
            derivation=LOSSY_DERIVATION,
            samples=compared.samples,
            top1_agreement=compared.top1,
        )
    else:
        found = compared.verification(rounding_tolerance(studied.layers), DERIVATION)
    return compared, found


def time_against(
    original: Run,
    candidates: Sequence[Candidate],
    feed: Mapping[str, Any],
    progress: Progress,
    seconds: float = 3.0,
) -> tuple[Timing, list[Timing]]:
    """Time the original and every candidate in turn."""
    runs: dict[str, Callable[[], object]] = {"before": lambda: original(feed)}
    for position, candidate in enumerate(candidates):
        runs[str(position)] = lambda run=candidate.run: run(feed)
    timings = interleave(runs, seconds=seconds, progress=step(progress, "timing networks"))
    return timings["before"], [timings[str(position)] for position in range(len(candidates))]


def verify(
    studied: Studied, original: Run, candidate: Candidate, max_error: float, progress: Progress
) -> Verification:
    """``check_outputs`` for callers who want the proof or an error."""
    _, found = check_outputs(studied, original, candidate, max_error, progress)
    if not found.passed:
        raise VerificationError(
            f"{studied.name}: outputs differ by {found.max_absolute_error:.3g}, "
            f"allowed are {found.tolerance:.3g}; optimize the original again"
        )
    return found
