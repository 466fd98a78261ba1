"""Make convolutional networks fast on CPUs: the algorithm that each layer's sparsity deserves."""

from sparsepass.errors import (
    ModelError,
    PlanError,
    SparsepassError,
    UsageError,
    VerificationError,
)
from sparsepass.pipeline import Pruned, Result, analyze, optimize, prune
from sparsepass.plan import Plan
from sparsepass.report import Analysis, Report

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
