import json
import math

import pytest
from sample_reports import analysis, predicted_report, resnet_report, tiny_report

from sparsepass.errors import UsageError
from sparsepass.plan import Offer
from sparsepass.report import Analysis, Report, json_schema, write


@pytest.mark.parametrize("build", [tiny_report, predicted_report, resnet_report])
def test_a_saved_report_is_loaded_as_it_was(build, tmp_path):
    report = build()

    report.save(tmp_path / "report.json")

    assert Report.load(tmp_path / "report.json") == report


def test_a_saved_analysis_is_loaded_as_it_was(tmp_path):
    analysis().save(tmp_path / "analysis.json")

    assert Analysis.load(tmp_path / "analysis.json") == analysis()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file: Invalid JSON"),
        ("[]", "the file: "),
        ("{}", "tool: Field required"),
        (b"\xff\xfe", "the file: Invalid JSON"),
    ],
)
def test_another_file_is_refused_in_one_line(content, problem, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(UsageError, match="not a sparsepass report") as caught:
        Report.load(path)

    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_analysis_is_not_taken_for_a_report(tmp_path):
    analysis().save(tmp_path / "analysis.json")

    with pytest.raises(UsageError, match="not a sparsepass report"):
        Report.load(tmp_path / "analysis.json")


def test_a_report_of_a_later_version_is_refused(tmp_path):
    later = json.loads(tiny_report().model_dump_json()) | {"version": 2}
    (tmp_path / "later.json").write_text(json.dumps(later))

    with pytest.raises(UsageError, match="version 1"):
        Report.load(tmp_path / "later.json")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.json: cannot be read"):
        Report.load(tmp_path / "absent.json")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_error_that_is_no_number_survives_the_file_and_fails_verification(value, tmp_path):
    found = tiny_report().verification.model_copy(update={"max_absolute_error": value})
    report = tiny_report().model_copy(update={"verification": found})

    report.save(tmp_path / "report.json")

    assert not Report.load(tmp_path / "report.json").verification.passed


def test_totals_add_up_to_the_network():
    report = resnet_report()

    totals = report.totals

    assert sum(total.layers for total in totals) == len(report.layers)
    assert sum(total.dense_us for total in totals) == pytest.approx(report.dense_us)
    assert sum(total.now_us for total in totals) == pytest.approx(report.now_us)


def test_refusals_are_counted_per_algorithm():
    report = resnet_report()

    refusals = report.refusals

    expected = sum(len(layer.refusals) for layer in report.layers)
    assert sum(total.layers for total in refusals) == expected
    assert len({total.algorithm for total in refusals}) == len(refusals)


def test_offers_come_fastest_first_and_one_is_chosen():
    layer = tiny_report().layer("/block/conv")

    times = [offer.microseconds for offer in layer.offers]

    assert times == sorted(times)
    assert [layer.is_chosen(offer) for offer in layer.offers] == [True, False]


def test_two_settings_of_one_algorithm_are_told_apart():
    layer = tiny_report().layer("/block/conv")

    other = Offer(algorithm=layer.chosen.algorithm, parameters={"rank": 4}, predicted=1.0)

    assert not layer.is_chosen(other)


def test_an_unknown_layer_is_answered_with_what_comes_near():
    with pytest.raises(UsageError, match="give one of: /block/conv") as caught:
        tiny_report().layer("block")

    assert "/stem" not in str(caught.value)


def test_the_suffix_chooses_the_format(tmp_path):
    write(tiny_report(), tmp_path / "report.html")
    write(tiny_report(), tmp_path / "report.json")

    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert Report.load(tmp_path / "report.json") == tiny_report()


@pytest.mark.parametrize("name", ["report.pdf", "report"])
def test_an_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match=r"use \.html, \.md or \.json"):
        write(tiny_report(), tmp_path / name)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no/report\.json: cannot be written"):
        write(tiny_report(), tmp_path / "no" / "report.json")


def test_the_file_format_is_as_published(golden):
    golden("report.schema.json", json.dumps(json_schema(), indent=1, sort_keys=True) + "\n")
