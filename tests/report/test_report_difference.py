import io

import pytest
from rich.console import Console
from sample_reports import predicted_report, resnet_report, tiny_report
from test_report_html import Page

from sparsepass.plan import Choice
from sparsepass.report.agreement import agreement, before_and_after
from sparsepass.report.difference import compare, render_markdown
from sparsepass.report.html import render_difference
from sparsepass.report.schema import LayerTime
from sparsepass.report.terminal import print_difference


def changed_report(**changes):
    """The tiny report whose last layer has other facts."""
    report = tiny_report()
    first, last = report.layers
    return report.model_copy(update={"layers": (first, last.model_copy(update=changes))})


def printed(difference, width=80, **kwargs) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    print_difference(console, difference, **kwargs)
    return console.file.getvalue()


@pytest.mark.parametrize("build", [tiny_report, predicted_report, resnet_report])
def test_a_report_does_not_differ_from_itself(build):
    found = compare(build(), build())

    assert found.changed == ()
    assert "No layer changed." in render_markdown(found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chosen": Choice(layer="/block/conv", algorithm="other")}, ("algorithm",)),
        ({"now": LayerTime(predicted_us=50, measured_us=50)}, ("time",)),
        ({"now": LayerTime(predicted_us=80, measured_us=98)}, ()),
        ({"shape": "another"}, ("shape",)),
        ({"name": "renamed"}, ("new",)),
    ],
)
def test_what_changed_is_named(changes, expected):
    found = compare(tiny_report(), changed_report(**changes))

    assert found.layers[1].what == expected
    assert [layer.what for layer in found.layers[2:]] == ([("gone",)] if "name" in changes else [])


def test_zeros_are_compared():
    weight = tiny_report().layers[1].weight
    other = type(weight)(**{**weight.__dict__, "density": 0.5})

    found = compare(tiny_report(), changed_report(weight=other))

    assert found.layers[1].what == ("zeros",)
    assert found.layers[1].cells()["zero W"] == "90% -> 50%"


def test_times_of_networks_and_sums_of_layers_are_not_compared():
    found = compare(tiny_report(), predicted_report())

    assert found.headline.startswith("sum of the layers ")


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_what_changed_and_no_more(width):
    text = printed(compare(tiny_report(), changed_report(shape="another")), width)

    assert max(map(len, text.splitlines())) <= width
    assert "conv" in text
    assert "stem" not in text
    assert len(printed(compare(tiny_report(), tiny_report()), quiet=True).splitlines()) == 1


def test_the_page_has_every_layer_and_links_to_it():
    report = resnet_report()

    page = Page(render_difference(compare(report, report)))

    rows = [row["id"] for row in page.named("tr") if "id" in row]
    assert len(rows) == len(report.layers)
    assert {a["href"][1:] for a in page.named("a")} <= set(rows)
    assert not page.named("script")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "|pipe|", "\x1b[2J"])
def test_a_node_name_is_text_and_nothing_else(name):
    found = compare(tiny_report(), tiny_report(first=name))

    assert "<script>" not in render_difference(found)
    assert "\x1b" not in printed(found, 140)
    lines = render_markdown(found).splitlines()
    counts = {line.replace("\\|", "").count("|") for line in lines if line.startswith("| ")}
    assert counts == {4, 8}


def test_measured_offers_are_drawn_over_predicted_ones():
    layers = tiny_report().layers

    found = agreement(layers)

    assert len(found.dots) == 3
    assert [dot.solid for dot in found.dots] == [True, True, False]
    assert found.within == 1.0
    assert agreement(predicted_report().layers[:0]) is None


def test_layers_in_both_reports_are_drawn():
    report = tiny_report()
    renamed = compare(report, changed_report(name="renamed"))

    assert len(before_and_after(compare(report, report)).dots) == 2
    assert len(before_and_after(renamed).dots) == 1
