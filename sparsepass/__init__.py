"""Make convolutional networks fast on CPUs: the algorithm that each layer's sparsity deserves.

Names are imported when they are first used: ``import sparsepass`` alone takes no time.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sparsepass.errors import (
    ModelError,
    PlanError,
    SparsepassError,
    UsageError,
    VerificationError,
)

__all__ = [
    "Analysis",
    "ModelError",
    "Plan",
    "PlanError",
    "Pruned",
    "Report",
    "Result",
    "SparsepassError",
    "UsageError",
    "VerificationError",
    "analyze",
    "optimize",
    "prune",
]

if TYPE_CHECKING:
    from sparsepass.pipeline import Pruned, Result, analyze, optimize, prune
    from sparsepass.plan import Plan
    from sparsepass.report import Analysis, Report
else:
    HOMES = {
        "Analysis": "sparsepass.report",
        "Plan": "sparsepass.plan",
        "Report": "sparsepass.report",
        "Pruned": "sparsepass.pipeline",
        "Result": "sparsepass.pipeline",
        "analyze": "sparsepass.pipeline",
        "optimize": "sparsepass.pipeline",
        "prune": "sparsepass.pipeline",
    }

    def __getattr__(name: str) -> Any:
        """Import a public name, or a module of the package, when it is asked for (PEP 562)."""
        if name in HOMES:
            return getattr(import_module(HOMES[name]), name)
        if name.isidentifier() and name[0] != "_" and find_spec(f"{__name__}.{name}"):
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
