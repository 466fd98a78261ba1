"""What becomes of one case: optimized as shipped, and rewritten by every algorithm in turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from backend_cases import Case, difference, pruned, run_on

import sparsepass
from sparsepass.algorithms import ALGORITHMS, Algorithm
from sparsepass.errors import SparsepassError
from sparsepass.model import to_bytes
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.study import study
from sparsepass.pipeline.warnings import NOTHING
from sparsepass.plan import Choice
from sparsepass.run import RunOptions
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.replacements import refuse_opset

IMPROVED, UNCHANGED, FAILED = "our operators", "unchanged", "failed"
SHIPPED, LOADED, PRUNED = "as shipped", "only loaded", "pruned"
# Of the largest output: a float32 sum in another order, and what Winograd's transforms add.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Outcome:
    """How a case ended in one ``part`` of the run, and why so."""

    case: str
    part: str
    result: str
    reason: str = ""


def outcomes(case: Case) -> Iterator[Outcome]:
    """What becomes of a case, nothing where ONNX Runtime itself does not take it."""
    if not case.loads:
        return
    yield outcome(case, SHIPPED if case.outputs else LOADED, lambda: shipped(case))
    sparse = pruned(case) if case.outputs else None
    if sparse is None:
        return
    yield outcome(sparse, PRUNED, lambda: shipped(sparse))
    for row in ALGORITHMS:
        if row.op:
            yield outcome(sparse, row.name, lambda row=row: forced(sparse, row))


def outcome(case: Case, part: str, check: Callable[[], tuple[str, str]]) -> Outcome:
    """The outcome of ``check``, whatever it raises: an exception is a failure to be counted."""
    try:
        return Outcome(case.name, part, *check())
    except SparsepassError as error:
        return Outcome(case.name, part, FAILED, str(error))
    except Exception as error:
        return Outcome(case.name, part, FAILED, f"uncaught {type(error).__name__}: {error}")


def shipped(case: Case) -> tuple[str, str]:
    """Optimize a case; its result and the reason for it."""
    result = sparsepass.optimize(case.model, measure=False)
    if wrong := deviation(case, to_bytes(result.model)):
        return FAILED, wrong
    if any(node.domain == DOMAIN for node in result.model.graph.all_nodes()):
        return IMPROVED, ""
    why = [w.removeprefix(NOTHING) for w in result.report.warnings if w.startswith(NOTHING)]
    return (UNCHANGED, why[0]) if why else (FAILED, "no reason in the report")


def forced(case: Case, row: Algorithm) -> tuple[str, str]:
    """Rewrite every layer of a case that ``row`` takes by it."""
    samples = {name: np.concatenate([value, value]) for name, value in case.feeds[0].items()}
    studied = study(case.model.SerializeToString(), RunOptions(samples=samples))
    if not isinstance(studied, Studied):
        return UNCHANGED, studied.reason
    choices, reasons = [], []
    for layer in studied.layers:
        stats = studied.stats[layer.name]
        reason = row.refuse(layer, stats, studied.target)
        if reason := reason or refuse_opset(row, studied.prepared.opset):
            reasons.append(reason)
            continue
        setting = row.options(layer, stats, studied.target)[0]
        choices.append(
            Choice(layer=layer.name, algorithm=row.name, parameters=dict(setting.parameters))
        )
    if not choices:
        skipped = [entry.reason for entry in studied.prepared.found.skipped]
        return UNCHANGED, next(iter([*reasons, *skipped]), "no layer")
    wrong = deviation(case, to_bytes(rewrite(studied, choices)))
    return (FAILED, wrong) if wrong else (IMPROVED, "")


def deviation(case: Case, content: bytes) -> str | None:
    """How a file differs from the original on the data of a case, with the library or without."""
    for library in (True, False):
        for feed, expected in zip(case.feeds, case.outputs or (), strict=False):
            found = run_on(content, feed, library=library)
            atol = ROUNDING * max((magnitude(value) for value in expected), default=0.0)
            if wrong := difference(expected, found, case.rtol, max(atol, case.atol)):
                return f"{'with' if library else 'without'} the library: {wrong}"
        if case.outputs is None:
            run_on(content, None, library=library)
    return None


def magnitude(value: object) -> float:
    """The largest finite number in a value."""
    if isinstance(value, list | tuple):
        return max((magnitude(entry) for entry in value), default=0.0)
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return 0.0
    return float(np.abs(array[np.isfinite(array)], dtype=np.float64).max(initial=0.0))
