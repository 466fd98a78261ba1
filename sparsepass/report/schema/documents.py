"""Documents as files: an analysis, a report, and what pruning did."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from sparsepass.advice import Advice
from sparsepass.algorithms import DENSE
from sparsepass.errors import UsageError
from sparsepass.files import read_document, write_text
from sparsepass.plan import Plan
from sparsepass.report.schema.context import (
    Machine,
    ModelFile,
    PassRun,
    Samples,
    SkippedNode,
    StageTime,
)
from sparsepass.report.schema.layers import LayerAnalysis, LayerReport
from sparsepass.report.schema.outputs import ErrorBudget, ParetoPoint, Verification
from sparsepass.report.schema.times import NetworkTime
from sparsepass.report.schema.totals import (
    AlgorithmTotal,
    RefusalTotal,
    Selector,
    refusal_total,
    total,
)
from sparsepass.report.schema.value import Value
from sparsepass.run import FREE, Pattern

__all__ = ["Analysis", "PruneReport", "PrunedLayer", "Report", "json_schema"]

# How many of the layers whose choice is least sure a report lists.
LEAST_SURE = 10


class Document(Value):
    """What both documents begin with, and how they are kept as files.

    ``advice`` is None where it was not asked for.
    """

    version: Literal[1] = 1
    tool: str
    model: ModelFile
    machine: Machine
    samples: Samples | None = None
    passes: tuple[PassRun, ...] = ()
    skipped: tuple[SkippedNode, ...] = ()
    warnings: tuple[str, ...] = ()
    advice: Advice | None = None

    def save(self, path: Path) -> None:
        """Write the document as JSON; raises UsageError where ``path`` cannot be written."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; raises UsageError where the file is absent or is something else."""
        kind = cls.__name__.lower()
        try:
            return cls.model_validate_json(read_document(path))
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be read ({error.strerror}); give a JSON {kind}"
            ) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            problem = first["msg"].splitlines()[0]
            raise UsageError(
                f"{path}: not a sparsepass {kind} of version 1 ({where}: {problem}); "
                f"write one with --json"
            ) from error


class Analysis(Document):
    """What a network looks like: its layers and where they are sparse."""

    kind: Literal["analysis"] = "analysis"
    layers: tuple[LayerAnalysis, ...]


class PrunedLayer(Value):
    """One layer: shares of zero weights, relative errors as expected, predicted times."""

    name: str
    shape: str
    zeros_before: float
    zeros: float
    layer_error: float
    output_error: float
    dense_us: float
    now_us: float


class PruneReport(Document):
    """What ``prune`` did.  ``sparsity`` is the share of zeros among the weights of all layers.

    ``pattern`` is the one that was asked for; layers that were left as they are need not have it.
    """

    kind: Literal["pruning"] = "pruning"
    layers: tuple[PrunedLayer, ...]
    pattern: Pattern = FREE
    sparsity: float
    predicted_speedup: float
    predicted_error: float
    verification: Verification


class Report(Document):
    """What was made of a network.  Parts that were not measured are None.

    ``pareto`` has plans for a ladder of error budgets, where they were asked for; ``stages`` say
    where the time of the run went, in the order in which they began.
    """

    kind: Literal["report"] = "report"
    layers: tuple[LayerReport, ...]
    plan: Plan
    budget: ErrorBudget | None = None
    network: NetworkTime | None = None
    verification: Verification | None = None
    selector: Selector | None = None
    pareto: tuple[ParetoPoint, ...] = ()
    stages: tuple[StageTime, ...] = ()

    @property
    def dense_us(self) -> float:
        """Time of all layers left dense."""
        return sum(layer.dense.best_us for layer in self.layers)

    @property
    def now_us(self) -> float:
        """Time of all layers as chosen."""
        return sum(layer.now.best_us for layer in self.layers)

    @property
    def least_sure(self) -> tuple[LayerReport, ...]:
        """The layers whose choice is least sure, those first."""
        known = [(layer.certainty, layer) for layer in self.layers if layer.certainty is not None]
        return tuple(layer for _, layer in sorted(known, key=lambda pair: pair[0])[:LEAST_SURE])

    @property
    def changed(self) -> int:
        """Layers that got another algorithm than the reference, the first of the table."""
        return sum(layer.chosen.algorithm != DENSE.name for layer in self.layers)

    @property
    def totals(self) -> tuple[AlgorithmTotal, ...]:
        """One total per algorithm that was chosen, most dense time first."""
        groups: dict[str, list[LayerReport]] = {}
        for layer in self.layers:
            groups.setdefault(layer.chosen.algorithm, []).append(layer)
        totals = (total(name, layers) for name, layers in groups.items())
        return tuple(sorted(totals, key=lambda found: -found.dense_us))

    @property
    def refusals(self) -> tuple[RefusalTotal, ...]:
        """One total per algorithm that refused a layer, most layers first."""
        reasons: dict[str, Counter[str]] = {}
        for layer in self.layers:
            for refusal in layer.refusals:
                reasons.setdefault(refusal.algorithm, Counter())[refusal.reason] += 1
        totals = (refusal_total(name, counts) for name, counts in reasons.items())
        return tuple(sorted(totals, key=lambda total: -total.layers))

    def layer(self, name: str) -> LayerReport:
        """The layer called ``name``; raises UsageError that lists what comes near."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        near = [known for known in names if name in known] or names
        listed = ", ".join(near[:5]) + (", ..." if len(near) > 5 else "")
        raise UsageError(f"{self.model.name}: no layer is called {name!r}; give one of: {listed}")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a report file."""
    return Report.model_json_schema()
