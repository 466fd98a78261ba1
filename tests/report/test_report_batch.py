"""Groups of images, on every face of the report."""

import io

import pytest
from rich.console import Console
from sample_reports import tiny_report

from sparsepass.plan import Tiling
from sparsepass.report import print_report, render_html
from sparsepass.report.facts import batch_fact


@pytest.mark.parametrize(
    ("tiling", "text"),
    [
        (None, ""),
        (Tiling(micro_batch=1), "one image at a time"),
        (Tiling(micro_batch=4, until="layer3"), "4 images at a time up to layer3"),
        (
            Tiling(micro_batch=2, until="\x1b[2J"),
            "2 images at a time up to \ufffd[2J",
        ),
    ],
)
def test_the_group_is_said_in_words(tiling, text):
    assert batch_fact(tiling) == text


def test_both_faces_say_it():
    report = tiny_report()
    plan = report.plan.model_copy(update={"tiling": Tiling(micro_batch=2)})
    report = report.model_copy(update={"plan": plan})
    console = Console(file=io.StringIO(), width=200)

    print_report(console, report)

    assert "2 images at a time" in console.file.getvalue()
    assert "2 images at a time" in render_html(report)
