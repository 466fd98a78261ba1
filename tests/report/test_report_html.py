import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from sample_reports import (
    NAMES,
    layer_report,
    predicted_report,
    report_of,
    resnet_report,
    tiny_report,
)

from sparsepass.algorithms import DENSE
from sparsepass.report import render_html

VOID = {"meta", "input", "wbr"}


class Page(HTMLParser):
    """The elements and texts of a page; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.usefixtures("invented_table")
def test_the_page_looks_as_agreed(golden):
    golden("report.html", render_html(tiny_report()))


@pytest.mark.parametrize("build", [tiny_report, predicted_report, resnet_report])
def test_every_layer_has_a_row_with_every_bid(build):
    report = build()

    page = Page(render_html(report))

    rows = page.named("details")
    assert [row["data-name"] for row in rows] == [layer.name for layer in report.layers]
    text = "".join(page.texts)
    for layer in report.layers:
        assert all(f"refused: {refusal.reason}" in text for refusal in layer.refusals)


def test_a_report_without_layers_is_a_page():
    page = Page(render_html(report_of((), before=1.0, after=1.0)))

    assert not page.named("details")
    assert not page.named("script")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "</svg>&<b>"]
)
def test_a_node_name_is_text_and_nothing_else(name):
    plain = Page(render_html(tiny_report()))

    page = Page(render_html(tiny_report(first=name)))

    assert page.named("details")[0]["data-name"] == name
    tags = [tag for tag, _ in page.elements if tag != "wbr"]
    assert tags == [tag for tag, _ in plain.elements if tag != "wbr"]
    assert name in "".join(page.texts)


def test_the_page_requests_nothing():
    page = render_html(resnet_report())

    assert not re.search(r"https?:|url\(|@import|<link|\bsrc=", page)
    assert all(a["href"].startswith("#layer-") for a in Page(page).named("a"))


def test_only_the_script_of_the_page_may_run():
    page = render_html(tiny_report())

    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    expected = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{expected}'" in page


def test_every_algorithm_of_the_table_has_its_own_colour():
    page = render_html(resnet_report())

    chips = dict(re.findall(r'style="--c: ([^"]+)">([^<]+)<', page))
    colours = {name: colour for colour, name in chips.items()}
    assert set(colours) == set(NAMES)


def test_more_algorithms_than_the_style_names_colours_have_their_own_too():
    names = [DENSE.name, *(f"algorithm {i}" for i in range(15))]
    layer = layer_report("conv", (8, 8, 3, 1, 8), 0.5, 0.5, 0, [(0, 1.0, 1.0)], names=names)

    page = render_html(report_of((layer,), before=1.0, after=1.0))

    chips = set(re.findall(r'style="--c: ([^"]+)">([^<]+)<', page))
    assert {name for _, name in chips} >= set(names)
    assert len({colour for colour, _ in chips}) == len(chips)


def test_links_of_the_charts_lead_to_layers():
    page = Page(render_html(resnet_report()))

    targets = {row["id"] for row in page.named("details")}
    assert {a["href"][1:] for a in page.named("a")} == targets


def test_a_failed_verification_is_shown():
    found = tiny_report().verification.model_copy(update={"max_absolute_error": float("nan")})
    report = tiny_report().model_copy(update={"verification": found})

    page = render_html(report)

    assert "outputs differ by nan" in page
    assert "outputs equal" not in page
