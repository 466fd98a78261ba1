"""The stages of a run, in order, and what they hand to each other."""

from sparsepass.pipeline.analyze import analyze
from sparsepass.pipeline.optimize import Result, optimize
from sparsepass.pipeline.prune import Pruned, prune

__all__ = ["Pruned", "Result", "analyze", "optimize", "prune"]
