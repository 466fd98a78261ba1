import io

import pytest
from rich.console import Console
from sample_reports import (
    analysis,
    layer_report,
    predicted_report,
    report_of,
    resnet_report,
    tiny_report,
)

from sparsepass.algorithms import DENSE
from sparsepass.errors import UsageError
from sparsepass.report import print_analysis, print_explanation, print_report


def printed(show, document, *args, width=80, **kwargs) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    show(console, document, *args, **kwargs)
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.usefixtures("invented_table")
@pytest.mark.parametrize("width", [80, 100])
def test_the_report_looks_as_agreed(width, golden):
    golden(f"report_{width}.txt", printed(print_report, tiny_report(), width=width))


@pytest.mark.usefixtures("invented_table")
def test_a_dry_run_looks_as_agreed(golden):
    golden("report_predicted.txt", printed(print_report, predicted_report()))


def test_without_layers_and_times_the_headline_has_no_figures():
    left_alone = predicted_report().model_copy(update={"layers": ()})

    text = printed(print_report, left_alone)

    assert text.startswith("no layer was changed or timed\n")


@pytest.mark.usefixtures("invented_table")
def test_the_explanation_looks_as_agreed(golden):
    golden("explanation.txt", printed(print_explanation, tiny_report(), "/block/conv"))


@pytest.mark.parametrize("width", [80, 100])
def test_the_analysis_looks_as_agreed(width, golden):
    golden(f"analysis_{width}.txt", printed(print_analysis, analysis(), width=width))


@pytest.mark.parametrize("width", [80, 96, 100, 140])
def test_nothing_is_cut_in_the_columns_of_a_real_size_network(width):
    report = resnet_report()

    text = printed(print_report, report, width=width)

    table = [line for line in text.splitlines() if not line.startswith("warning: ")]
    assert max(map(len, table)) <= width
    assert all(layer.chosen.algorithm in text for layer in report.layers)
    assert "2,310" in text


def test_quiet_leaves_the_headline_and_the_warnings():
    lines = printed(print_report, tiny_report(), quiet=True, width=100).splitlines()

    assert lines == [
        "0.60 ms -> 0.30 ms, 2.0x, outputs equal within 3.1e-6 (tolerance 2e-5)",
        "warning: no profile of this machine: predictions come from another CPU; run calibrate",
    ]


@pytest.mark.parametrize("width", [40, 100])
def test_a_warning_is_one_line_in_any_width(width):
    lines = printed(print_report, tiny_report(), quiet=True, width=width).splitlines()

    assert lines[-1].startswith("warning: ")
    assert lines[-1].endswith("run calibrate")


def test_close_calls_are_listed_least_sure_first():
    report = tiny_report()
    layers = tuple(
        layer.model_copy(update={"certainty": share})
        for layer, share in zip(report.layers, (0.6, 0.4), strict=True)
    )

    text = printed(print_report, report.model_copy(update={"layers": layers}), width=140)

    assert "close calls, by the share of turns that the choice won: /block/conv (40%)" in text
    assert "/stem/conv (60%)" in text
    assert "close calls" not in printed(print_report, report)


def test_different_outputs_are_shouted():
    found = tiny_report().verification.model_copy(update={"max_absolute_error": 0.5})
    report = tiny_report().model_copy(update={"verification": found})

    assert "OUTPUTS DIFFER by 0.5 (tolerance 2e-5)" in printed(print_report, report)


def test_a_node_name_cannot_steer_the_terminal():
    report = tiny_report(first="[red]\x1b[2Jx\n")

    text = printed(print_report, report)

    assert "\x1b" not in text
    assert "[red]\N{REPLACEMENT CHARACTER}[2Jx\N{REPLACEMENT CHARACTER}" in text


def test_a_terminal_without_unicode_gets_ascii():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)

    print_report(console, resnet_report())

    console.file.flush()
    assert b"..." in raw.getvalue()


def test_a_long_name_of_an_algorithm_is_not_cut():
    name = "an-algorithm-of-a-long-name"
    offers = [(0, 2.0, 2.0), (1, 1.0, 1.0)]
    layer = layer_report("x" * 60, (8, 8, 3, 1, 8), 0.5, 0.5, 1, offers, names=[DENSE.name, name])

    lines = printed(print_report, report_of((layer,), before=2.0, after=1.0)).splitlines()

    (line,) = [line for line in lines if "xxx" in line]
    assert name in line
    assert line.endswith("2.0x")


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True)

    print_report(console, tiny_report(), quiet=True)

    assert "\x1b[32m" not in console.file.getvalue()
    assert "\x1b[1;32m" not in console.file.getvalue()


def test_an_unknown_layer_is_not_explained():
    with pytest.raises(UsageError, match="no layer is called 'nothing'"):
        printed(print_explanation, tiny_report(), "nothing")
