"""All that the commands work with, in one place: imported when one runs, not to show its help."""

from sparsepass.algorithms import ALGORITHMS
from sparsepass.model import load, save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline import analyze, optimize
from sparsepass.pipeline.bench import compare_engines, save_rows
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.targets import plan_for
from sparsepass.pipeline.verification import verify_files
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile, cached_path, cpu_name, find
from sparsepass.report import (
    Report,
    check_format,
    print_analysis,
    print_explanation,
    print_report,
    write,
)
from sparsepass.report.compared import print_difference
from sparsepass.report.difference import compare as compare_reports
from sparsepass.report.difference import render_markdown
from sparsepass.report.html import render_difference, render_html
from sparsepass.report.markdown import table
from sparsepass.report.targets import print_targets
from sparsepass.runtime.library import instruction_set, library_path, registered_ops, target
from sparsepass.runtime.microbench import measure_profile
from sparsepass.runtime.ops import DOMAIN
from sparsepass.shapes import parse_shape

__all__ = [
    "ALGORITHMS", "DOMAIN", "ImageTransform", "MachineProfile", "Plan", "Report", "analyze",
    "cached_path", "check_format", "compare_engines", "compare_reports", "cpu_name", "find",
    "instruction_set", "library_path", "load", "measure_profile", "optimize", "parse_shape",
    "plan_for", "prepare", "print_analysis", "print_difference", "print_explanation",
    "print_report", "print_targets", "registered_ops", "render_difference", "render_html",
    "render_markdown", "save", "save_rows", "table", "target", "verify_files", "write",
]  # fmt: skip
