"""All that the commands work with, in one place: imported when one runs, not to show its help."""

from sparsepass.algorithms import ALGORITHMS
from sparsepass.model import external_files, load, save
from sparsepass.network import send_nothing
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline import analyze, optimize, prune
from sparsepass.pipeline.bench import compare_engines, save_rows
from sparsepass.pipeline.learn import learn_profile
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.targets import plan_for
from sparsepass.pipeline.verification import verify_files
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile, cached_path, cpu_name, find, nearest
from sparsepass.report import (
    ANALYSES,
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
from sparsepass.report.difference import compare as compare_reports
from sparsepass.report.difference import render_markdown
from sparsepass.report.facts import answers_fact
from sparsepass.report.html import render_difference, render_html
from sparsepass.report.markdown import table
from sparsepass.report.terminal import print_difference, print_targets
from sparsepass.runtime.library import instruction_set, library_path, registered_ops, target
from sparsepass.runtime.microbench import correct_profile, measure_profile
from sparsepass.runtime.ops import DOMAIN
from sparsepass.samples import is_sample_of
from sparsepass.shapes import parse_shape

__all__ = [
    "ALGORITHMS", "ANALYSES", "DOMAIN", "ImageTransform", "MachineProfile", "Plan", "Report",
    "analyze", "answers_fact", "cached_path", "check_format", "check_pareto", "compare_engines",
    "compare_reports", "correct_profile", "cpu_name", "external_files", "find",
    "instruction_set", "is_sample_of", "learn_profile", "library_path", "load",
    "measure_profile", "nearest", "optimize", "parse_shape", "plan_for", "prepare",
    "print_analysis", "print_difference", "print_explanation", "print_pruning", "print_report",
    "print_targets", "prune", "registered_ops", "render_difference", "render_html",
    "render_markdown", "save", "save_rows", "table", "target", "verify_files", "write",
    "write_pareto",
]  # fmt: skip

# This process is the command's own: nothing is sent from it.
send_nothing()
