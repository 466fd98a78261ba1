import io

import pytest
from rich.console import Console
from sample_reports import analysis, resnet_report, tiny_report
from test_report_html import Page

from sparsepass.advice import Advice, Curve, CurvePoint, FirstLayer, LayerAdvice
from sparsepass.report import Analysis, print_analysis, print_explanation, render_html, write
from sparsepass.report.html import render_analysis
from sparsepass.report.lines import speedup_lines


def advice_for(report) -> Advice:
    """Invented advice on every layer: each third one cannot be helped."""
    savings = {"70%": 12.0, "80%": 100.5, "90%": 1234.0, "2:4": 0.0, "1:4": 3.0, "1x4 at 80%": 99.0}
    layers = tuple(
        LayerAdvice(
            layer=layer.name,
            algorithm="dense",
            now_us=100.0 * (1 + position),
            pays_from=None if position % 3 == 2 else 0.3,
            enough_at=None if position % 3 == 2 else 0.95,
            savings_us=dict.fromkeys(savings, 0.0) if position % 3 == 2 else savings,
            weight_zeros_us=10.0,
            input_zeros_us=20.0 if position % 2 else None,
        )
        for position, layer in enumerate(report.layers)
    )
    first = tuple(FirstLayer(layer.layer, 0.9, 500.0, 5e3) for layer in layers[:10])
    shares = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    curves = tuple(
        Curve(batch, 1e4 * batch, tuple(CurvePoint(z, 1e4, 1 + 9 * z) for z in shares))
        for batch in (1, 16)
    )
    return Advice("AMD EPYC, avx512, 1 thread", 1e4, 9e3, 450.0, layers, first, (), curves)


def advised(report):
    return report.model_copy(update={"advice": advice_for(report)})


def printed(show, *arguments, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    show(console, *arguments)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_layers_the_first_ten_and_the_curve(width):
    text = printed(print_analysis, advised(analysis()), width=width)

    assert all(max(map(len, part.splitlines())) <= width for part in text.split("warning"))
    for words in ("Prune first", "1,234", "batch 16", "5% of the time", "9.1x"):
        assert words in " ".join(text.split())


def test_a_layer_is_explained_in_words():
    text = printed(print_explanation, advised(tiny_report()), "/block/conv", width=100)

    words = " ".join(text.split())
    assert "another algorithm wins from 30% zeros on" in words
    assert "saves with 2:4 nothing" in words
    assert "its input's zeros are worth 20.0 us" in words


def test_the_page_of_a_report_has_the_advice_in_every_layer():
    page = "".join(Page(render_html(advised(resnet_report()))).texts)

    assert page.count("another algorithm wins") == len(resnet_report().layers)
    assert "What pruning would be worth" in page


def test_the_page_of_an_analysis_has_a_picture_and_no_script():
    page = Page(render_analysis(advised(analysis())))

    assert page.named("polyline")
    assert not page.named("script")
    assert "Where it is sparse" in "".join(page.texts)


def test_an_analysis_without_advice_is_a_page_too():
    assert "What pruning" not in render_analysis(analysis())


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "</svg>&<b>"])
def test_a_node_name_is_text_and_nothing_else(name):
    report = advised(tiny_report(first=name))

    for page in (render_html(report), render_analysis(advised(analysis()))):
        assert name not in page
    assert name in "".join(Page(render_html(report)).texts)


def test_advice_is_read_as_it_was_written(tmp_path):
    write(advised(analysis()), tmp_path / "a.json")
    write(advised(analysis()), tmp_path / "a.html")

    assert Analysis.load(tmp_path / "a.json") == advised(analysis())
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


def test_labels_of_curves_do_not_cover_each_other():
    one, other = speedup_lines(advice_for(tiny_report())).lines

    assert abs(one.label_y - other.label_y) >= 15
