"""All that the commands work with, in one place: imported when one runs, not to show its help."""

from sparsepass.algorithms import ALGORITHMS
from sparsepass.model import load, save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline import analyze, optimize, prune
from sparsepass.pipeline.bench import compare_engines, save_rows
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.verification import verify_files
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile, cached_path, cpu_name, find, nearest
from sparsepass.report import (
    Report,
    check_format,
    check_pareto,
    print_analysis,
    print_explanation,
    print_pruning,
    print_report,
    write,
    write_pareto,
)
from sparsepass.report.facts import answers_fact
from sparsepass.report.markdown import table
from sparsepass.runtime.library import instruction_set, library_path, registered_ops, target
from sparsepass.runtime.microbench import correct_profile, measure_profile
from sparsepass.runtime.ops import DOMAIN
from sparsepass.shapes import parse_shape

__all__ = [
    "ALGORITHMS", "DOMAIN", "ImageTransform", "MachineProfile", "Plan", "Report", "analyze",
    "answers_fact", "cached_path", "check_format", "check_pareto", "compare_engines",
    "correct_profile", "cpu_name", "find", "instruction_set", "library_path", "load",
    "measure_profile", "nearest", "optimize", "parse_shape", "prepare", "print_analysis",
    "print_explanation", "print_pruning", "print_report", "prune", "registered_ops", "save",
    "save_rows", "table", "target", "verify_files", "write", "write_pareto",
]  # fmt: skip
