"""What a run tells its user, as a value: JSON in, JSON out.

``Analysis`` is what a network looks like, ``Report`` what was made of it.  Field names carry the
unit: ``_us`` microseconds, ``_ms`` milliseconds, ``_bytes``; shares and errors have none.
"""

from sparsepass.report.schema.context import (
    Machine,
    ModelFile,
    PassRun,
    Samples,
    SkippedNode,
    StageTime,
    Tensor,
)
from sparsepass.report.schema.documents import (
    Analysis,
    PrunedLayer,
    PruneReport,
    Report,
    json_schema,
)
from sparsepass.report.schema.layers import (
    Bought,
    LayerAnalysis,
    LayerReport,
    LayerTime,
    LossyOption,
)
from sparsepass.report.schema.outputs import (
    ErrorBudget,
    ExpectedDrop,
    PairedAnswers,
    ParetoPoint,
    Verification,
)
from sparsepass.report.schema.times import Engine, Latency, NetworkTime
from sparsepass.report.schema.totals import AlgorithmTotal, RefusalTotal, Selector

__all__ = [
    "AlgorithmTotal", "Analysis", "Bought", "Engine", "ErrorBudget", "ExpectedDrop", "Latency",
    "LayerAnalysis", "LayerReport", "LayerTime", "LossyOption", "Machine", "ModelFile",
    "NetworkTime", "PairedAnswers", "ParetoPoint", "PassRun", "PruneReport", "PrunedLayer",
    "RefusalTotal", "Report", "Samples", "Selector", "SkippedNode", "StageTime", "Tensor",
    "Verification", "json_schema",
]  # fmt: skip
