"""The stages of a run, in order, and what they hand to each other."""

from sparsepass.pipeline.optimize import Result, analyze, optimize

__all__ = ["Result", "analyze", "optimize"]
